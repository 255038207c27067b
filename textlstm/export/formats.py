"""A model's vocabulary, weights and network as files that other tools read without textlstm."""

from __future__ import annotations

import json
from pathlib import Path

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.labelled import LabelledSplit
from textlstm.classifier.weights import save_weights
from textlstm.errors import ConfigError, require_choice
from textlstm.export.torch_export import export_program, export_torch
from textlstm.text.vocabulary import PAD_ID, UNK_ID
from textlstm.version import __version__

_POOLING_RULES = {
    "final": "the last layer's forward state after the last token, then (if bidirectional) its "
    "backward state after the first token: h_n[-2] and h_n[-1] of torch.nn.LSTM",
    "max": "the largest value of each output over the text's tokens",
    "final+max": "what final gives, then what max gives",
    "mean": "the mean of each output over the text's tokens",
    "attention": "the mean of the outputs over the text's tokens, weighted by the softmax over "
    "tokens of score(tanh(hidden(output))), with the tensors pooling.hidden and pooling.score",
}
_SCALES_RULE = (
    "logits are scales[0] times those of linear; with n-grams plus scales[1] times theirs"
)
_NGRAMS_RULE = (
    "n-gram logits are the sum of the rows of ngrams.table over the set of a text's rows, divided "
    "by the root of their number and (if there are ngrams.labels) multiplied by its transpose, "
    "plus ngrams.bias; a token t has row t, and if ngrams is above 1 it has with the k tokens b1, "
    "b2, ... before it (0 before the text) for each k below ngrams the row vocab_size + "
    "(t + f1*b1 + f2*b2 + ...) % ngram_buckets, with f of ngram_factors"
)

_SHAPE = ("embedding_size", "hidden_size", "num_layers", "bidirectional", "pooling", "ngrams")

FORMATS = ("vocab", "safetensors", "onnx", "torch", "torch-export")
"""The formats a model can be exported to."""


def export_model(
    classifier: TextClassifier,
    format: str,
    path: str | Path,
    *,
    quantize: str | None = None,
    data: LabelledSplit | None = None,
    data_name: str = "",
    overwrite: bool = False,
) -> None:
    """Export a model.

    Args:
        classifier: the model.
        format: one of `FORMATS`.
        path: the file to write, for onnx the folder; a file that is there is replaced.
        quantize: onnx only; 'int8' for 8-bit weights and products.
        data: onnx only; labelled texts to measure on, which `quantize` needs.
        data_name: what the README of the export calls them.
        overwrite: onnx only; replace an earlier export that is there.

    Raises:
        ConfigError: there is no such format, or the path or an option does not go with it.
        OutputError: the file or folder can't be written.
        ExportError: the exported network is not equal to the model, or can't be exported.
        MissingDependencyError: the format needs a package that is not installed.
    """
    require_choice("format", format, FORMATS)
    if format == "onnx":
        from textlstm.export.onnx_export import export_onnx  # needs the extra packages

        if Path(path).suffix == ".onnx":
            raise ConfigError(f"{path}: the onnx export is a folder: pass a name without .onnx")
        export_onnx(
            classifier, path, quantize=quantize, data=data, data_name=data_name, overwrite=overwrite
        )
        return
    if quantize is not None or data is not None:
        name = "quantize" if quantize is not None else "data"
        raise ConfigError(f"{name} does not go with format = {format!r}: only with onnx")
    if format == "vocab":
        export_vocabulary(classifier, path)
    elif format == "safetensors":
        export_safetensors(classifier, path)
    elif format == "torch":
        export_torch(classifier, _file(path, ".pt", ".pth"))
    else:
        export_program(classifier, _file(path, ".pt2"))


def export_vocabulary(classifier: TextClassifier, path: str | Path) -> None:
    """Write the vocabulary: token and count per line, or an object if `path` ends in `.json`.

    Args:
        classifier: the model.
        path: the file; `.txt`, `.json` or no suffix.

    Raises:
        ConfigError: the path ends in something else, or is a folder.
        OutputError: the file can't be written.
    """
    classifier.vocabulary.save(_file(path, ".txt", ".json"))


def export_safetensors(classifier: TextClassifier, path: str | Path) -> None:
    """Write the weights, float32, with the metadata that their use requires.

    `embedding.weight`, `linear.weight` and `linear.bias` have their plain names; the tensors
    after the prefix `lstm.` are the state dict of a `torch.nn.LSTM` of the sizes in the
    metadata. All metadata are strings; `labels` is a JSON list, as is `thresholds`, the least
    probability of each label, where a text may have several.

    Args:
        classifier: the model.
        path: the file; `.safetensors` or no suffix.

    Raises:
        ConfigError: the path ends in something else, or is a folder.
        OutputError: the file can't be written.
    """
    model, tokenizer = classifier.model, classifier.tokenizer
    shape = model.config
    lstm = (
        f"torch.nn.LSTM({shape.embedding_size}, {shape.hidden_size}, {shape.num_layers}, "
        f"batch_first=True, bidirectional={shape.bidirectional})"
    )
    metadata = {
        "format": "pt",  # what transformers asks of a safetensors file
        "library": f"textlstm {__version__}",
        "network": "embedding, lstm, pooling, linear, "
        + ("sigmoid" if classifier.multi_label else "softmax"),
        "lstm": lstm,
        "pooling_rule": _POOLING_RULES[shape.pooling],
        "labels": json.dumps(list(classifier.labels), ensure_ascii=False),
        "num_classes": str(len(classifier.labels)),
        "vocab_size": str(len(classifier.vocabulary)),
        **{name: str(getattr(shape, name)).lower() for name in _SHAPE},
        "pad_id": str(PAD_ID),
        "unk_id": str(UNK_ID),
        "tokenizer": tokenizer.kind,
        "max_length": str(tokenizer.max_length),
        "truncation": tokenizer.truncation,
        "scales_rule": _SCALES_RULE,
    }
    if model.ngrams is not None:
        metadata["ngram_buckets"] = str(model.ngrams.buckets)
        metadata["ngram_factors"] = json.dumps(model.ngrams.factors)
        metadata["ngrams_rule"] = _NGRAMS_RULE
    if classifier.thresholds is not None:
        metadata["thresholds"] = json.dumps(list(classifier.thresholds))
    weights = {name: tensor.float() for name, tensor in model.state_dict().items()}
    save_weights(_file(path, ".safetensors"), weights, metadata)


def _file(path: str | Path, *suffixes: str) -> Path:
    """Return `path`; raise a `ConfigError` for a folder or the suffix of another format."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: pass the path of a file, {' or '.join(suffixes)}")
    if path.suffix not in ("", *suffixes):
        raise ConfigError(f"{path}: must end in {' or '.join(suffixes)}, or have no suffix")
    return path
