"""Nodes and constants of an ONNX graph that is being built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from textlstm.errors import ExportError, MissingDependencyError
from textlstm.version import __version__

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingDependencyError(
        f"the ONNX export needs the package onnx ({error}): pip install 'textlstm[onnx]'"
    ) from error

OPSET, IR_VERSION = 15, 8  # of the year 2021: read by ONNX Runtime 1.10 and everything newer
_MOST_BYTES = 2**31 - 2**20  # protobuf's limit, less room for what is not a weight

Array = npt.NDArray[Any]
ModelProto = onnx.ModelProto
FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


@dataclass
class Graph:
    """Nodes and weights of a graph that is being built."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def weight(self, name: str, value: Array | np.generic) -> str:
        """Store a constant; return its name."""
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, kind: str, *inputs: str, to_name: str = "", **attributes: Any) -> str:
        """Add an operator with one output; return the output's name."""
        output = to_name or f"{kind}_{len(self.nodes)}"
        return self.add_many(kind, inputs, [output], **attributes)[0]

    def add_many(
        self, kind: str, inputs: tuple[str, ...], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """Add an operator; return the names of its outputs."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return outputs

    def shape(self, name: str, *sizes: int) -> str:
        """Store a list of whole numbers, such as a shape or axes; return its name."""
        return self.weight(name, np.array(sizes, np.int64))

    def finish(self, *, classes: int) -> onnx.ModelProto:
        """Make the model and check it."""
        size = sum(len(tensor.raw_data) for tensor in self.weights.values())
        if size > _MOST_BYTES:
            raise ExportError(
                f"the weights take {size:,} bytes: an ONNX file holds at most {_MOST_BYTES:,}; "
                "quantize to int8, or train with a smaller vocab_size"
            )
        info = helper.make_tensor_value_info
        ids = info("input_ids", TensorProto.INT64, ["batch", "time"])
        lengths = info("lengths", TensorProto.INT64, ["batch"])
        outputs = [info(name, FLOAT, ["batch", classes]) for name in ("logits", "probabilities")]
        weights = list(self.weights.values())
        graph = helper.make_graph(self.nodes, "textlstm", [ids, lengths], outputs, weights)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("com.microsoft", 1))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="textlstm",
            producer_version=__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def as_numpy(tensor: Tensor) -> Array:
    """Return a tensor as a float32 array."""
    array: Array = tensor.detach().float().cpu().numpy()
    return array
