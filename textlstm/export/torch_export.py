"""The weights as a PyTorch state dict, and the network as a `torch.export` program.

Shapes: B batch, T time (tokens), E embedding, H hidden, F features (both directions together),
I a layer's input size, C classes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.serialization import save as write_zip_archive

from textlstm.classifier.classifier import TextClassifier
from textlstm.errors import ExportError
from textlstm.export.parity import compare, plain_copy, require_parity
from textlstm.io.atomic import atomic_path
from textlstm.nn.network import BiLSTMClassifier, combine
from textlstm.nn.probabilities import probabilities_of
from textlstm.version import __version__

_GATE_TOKENS = 5000  # some seconds with the default settings
_INSTEAD = "export with format onnx instead"


def export_torch(classifier: TextClassifier, path: str | Path) -> None:
    """Write the weights, float32, as a state dict that `torch.load(weights_only=True)` reads.

    This is the only file with a pickle in it: PyTorch's own format is a zip archive whose
    index is pickled, and tools that ask for a `.pt` file can read nothing else. It holds a plain
    dictionary of tensors, so it loads with `weights_only=True`, which runs no code. Nothing in
    textlstm reads it. `--format safetensors` holds the same tensors without a pickle.

    Args:
        classifier: the model.
        path: the file; one that is there is replaced.

    Raises:
        OutputError: the file can't be written.
    """
    state = {
        name: tensor.detach().float().cpu().contiguous()
        for name, tensor in classifier.model.state_dict().items()
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # into a file object: given a path, it would store the temporary file's name
        write_zip_archive(state, file)


def export_program(classifier: TextClassifier, path: str | Path) -> None:
    """Write the network as a `torch.export` program with dynamic batch and time.

    `torch.export.load(path).module()` takes `input_ids`, int64 [B, T], and `lengths`, int64 [B],
    and returns logits and probabilities, [B, C] each. Labels, their thresholds where a text may
    have several, and how texts are cut are in its extra file `textlstm.json`. The LSTM is a loop
    over tokens (`scan`), as packed sequences and `nn.LSTM` can't be exported with a free number
    of tokens (pytorch issues 115092 and 112044); it runs wherever PyTorch does, and is slower
    than the ONNX model.

    The program is loaded again and compared with the network before it takes its place.

    Args:
        classifier: the model.
        path: the file; one that is there is replaced.

    Raises:
        ExportError: this PyTorch can't export the network, or the program is not equal to it.
        OutputError: the file can't be written.
    """
    about = {
        "library": f"textlstm {__version__}",
        "labels": list(classifier.labels),
        "thresholds": None if classifier.thresholds is None else list(classifier.thresholds),
        "max_length": classifier.tokenizer.max_length,
        "truncation": classifier.tokenizer.truncation,
    }
    model = plain_copy(classifier.model)
    with atomic_path(path) as temporary:
        program = _program(model)
        try:
            extra = {"textlstm.json": json.dumps(about, ensure_ascii=False)}
            torch.export.save(program, temporary, extra_files=extra)
            loaded = torch.export.load(temporary).module()
        except Exception as error:  # whatever the serializer trips over
            raise ExportError(
                f"torch {torch.__version__} can't store the exported network ({error}): {_INSTEAD}"
            ) from error

        def predict(ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with torch.no_grad():
                logits, probabilities = loaded(torch.from_numpy(ids), torch.from_numpy(lengths))
            return logits.numpy(), probabilities.numpy()

        parity = compare(model, predict, tokens=_GATE_TOKENS)
        require_parity(parity, "torch.export program")


def _program(model: BiLSTMClassifier) -> Any:
    try:
        from torch._higher_order_ops.scan import scan
    except ImportError as error:
        raise ExportError(
            f"torch {torch.__version__} has no scan, which an LSTM over any number of tokens "
            f"takes: update torch, or {_INSTEAD}"
        ) from error
    batch, time = torch.export.Dim("batch", min=1), torch.export.Dim("time", min=1)
    try:
        with torch.no_grad():
            return torch.export.export(
                _Looped(model, scan),
                (torch.ones(3, 5, dtype=torch.int64), torch.tensor([5, 3, 1])),
                dynamic_shapes={"input_ids": {0: batch, 1: time}, "lengths": {0: batch}},
                strict=False,
            )
    except Exception as error:  # torch.export raises all kinds
        raise ExportError(
            f"torch {torch.__version__} can't export the network with a free number of texts and "
            f"tokens ({type(error).__name__}): {_INSTEAD}"
        ) from error


class _Looped(nn.Module):
    """The network with the LSTM written out as a loop over tokens.

    Args:
        model: the network.
        scan: the loop that `torch.export` understands.
    """

    def __init__(self, model: BiLSTMClassifier, scan: Any) -> None:
        super().__init__()
        self.model = model
        self.scan = scan

    def forward(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, [B, C] each, for ids [B, T] and lengths [B]."""
        lstm = self.model.lstm
        x = nn.functional.embedding(input_ids.t(), self.model.embedding.weight)  # [T, B, E]
        times = torch.arange(x.shape[0])[:, None]  # [T, 1]
        mirrored = torch.where(times < lengths, lengths - 1 - times, times)  # [T, B]
        parts: list[Tensor] = []  # each direction's states in its own order
        for layer in range(lstm.num_layers):
            parts = [self._loop(x, f"l{layer}")]  # [T, B, H]
            output = parts[0]
            if lstm.bidirectional:
                parts.append(self._loop(_flip(x, mirrored), f"l{layer}_reverse"))
                output = torch.cat([output, _flip(parts[1], mirrored)], dim=2)  # [T, B, F]
            x = output
        states = parts if self.model.pooling.any_order else [x]
        pooled = self.model.pooling([part.transpose(0, 1) for part in states], lengths)  # [B, F]
        branches = [self.model.linear(pooled)]
        if self.model.ngrams is not None:
            ngrams = self.model.ngrams
            rows = ngrams.rows(input_ids, lengths)  # [B, G]
            # not embedding_bag, with which a batch of one text is another program
            total = nn.functional.embedding(rows, ngrams.table).sum(dim=1)  # [B, K]
            branches.append(ngrams.logits_of(rows, total))
        logits = combine(torch.stack(branches), self.model.scales)  # [B, C]
        return logits, probabilities_of(logits, multi_label=self.model.multi_label)

    def _loop(self, x: Tensor, end: str) -> Tensor:
        """Read [T, B, I] in one direction of one layer; return the states [T, B, H]."""
        lstm = self.model.lstm
        w_ih, w_hh, b_ih, b_hh = (
            getattr(lstm, f"{kind}_{end}")
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        gates = nn.functional.linear(x, w_ih, b_ih + b_hh)  # [T, B, 4H]
        start = x.new_zeros(x.shape[1], lstm.hidden_size)  # [B, H]

        def step(states: tuple[Tensor, Tensor], gate: Tensor) -> tuple[Any, Tensor]:
            h, c = states
            i, f, g, o = (gate + h @ w_hh.t()).chunk(4, dim=1)  # [B, H] each
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            return (h, c), h.clone()  # scan wants no output to be a state itself

        _, states = self.scan(step, (start, start.clone()), gates, dim=0)
        found: Tensor = states
        return found


def _flip(x: Tensor, order: Tensor) -> Tensor:
    """Reverse each text of [T, B, I] within its own length."""
    return x.gather(0, order[:, :, None].expand(-1, -1, x.shape[2]))
