"""ONNX Runtime as a function of ids and lengths.

Shapes: B batch, T time (tokens), C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textlstm.errors import MissingDependencyError, ModelFolderError

try:
    import onnxruntime
except ImportError as error:
    raise MissingDependencyError(
        f"ONNX models run on the package onnxruntime ({error}): pip install 'textlstm[onnx]'"
    ) from error

_FATAL = 4  # other errors are raised, and need not be logged too


class OnnxSession:
    """An exported model, loaded. Threads may share one.

    Args:
        model: `model.onnx` of an export, or its bytes.
        threads: CPU threads; ONNX Runtime's own choice (the machine's cores) if None.

    Raises:
        ModelFolderError: the file is missing, or this ONNX Runtime can't read it.
    """

    def __init__(self, model: str | Path | bytes, *, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = _FATAL
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
            # a name of a damaged file may be no UTF-8
            shapes = {output.name: output.shape for output in self._session.get_outputs()}
            self.classes: Any = shapes.get("probabilities", [None])[-1]  # C
        except Exception as error:  # its many classes have no base of their own
            name = "the model" if isinstance(model, bytes) else model
            raise ModelFolderError(
                f"{name} can't be loaded by onnxruntime {onnxruntime.__version__}: {error}; "
                "export the model again, or update onnxruntime"
            ) from error

    def __call__(
        self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Run the model on a batch.

        Args:
            ids: token ids, int64 [B, T]; padded with any ids of the vocabulary.
            lengths: true tokens of each text, int64 [B], each from 1 to T.

        Returns:
            Logits and probabilities, float32 [B, C] each.

        Raises:
            ModelFolderError: ONNX Runtime fails in the model, as in a damaged one.
        """
        inputs = {"input_ids": ids, "lengths": lengths}
        try:
            logits, probabilities = self._session.run(["logits", "probabilities"], inputs)
        except Exception as error:  # its many classes have no base of their own
            raise ModelFolderError(
                f"onnxruntime {onnxruntime.__version__} fails in the model: {error}; it may be "
                "damaged: export it again"
            ) from error
        return logits, probabilities
