"""The README of an ONNX export: how to use it, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from textlstm.classifier.model_folder import current_versions
from textlstm.export.parity import Parity
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import UNK, UNK_ID


@dataclass(frozen=True)
class Judged:
    """What a model is worth on labelled texts.

    Args:
        accuracy: share of texts with the true label, or with exactly the true labels.
        macro_f1: mean of the labels' F1.
        speed: texts a second, the model alone.
        size: bytes of `model.onnx`.
    """

    accuracy: float
    macro_f1: float
    speed: float
    size: int = 0


@dataclass(frozen=True)
class OnnxReport:
    """What was measured while exporting.

    Args:
        parity: the float32 model beside the network.
        threads: CPU threads of the measurements.
        data_name: what the labelled texts are called.
        texts: how many there were; 0 if there were none.
        float32: the float32 model on them.
        int8: the quantized model on them.
        agreement: share of texts that both give the same label or labels.
    """

    parity: Parity
    threads: int = 1
    data_name: str = ""
    texts: int = 0
    float32: Judged | None = None
    int8: Judged | None = None
    agreement: float | None = None


def onnx_card(
    name: str, tokenizer: TextTokenizer, report: OnnxReport, *, multi_label: bool = False
) -> str:
    """Write the README.

    Args:
        name: of the folder.
        tokenizer: the model's; how it cuts long texts becomes a line of the code.
        report: what was measured.
        multi_label: whether a text may have any number of labels.

    Returns:
        Markdown with one block of Python, which needs onnxruntime, tokenizers and numpy only.
    """
    parts = [
        f"# {_line(name)}",
        "A text classifier as an ONNX model, trained and exported with textlstm. It needs neither "
        "textlstm nor PyTorch:",
        "```bash\npip install onnxruntime tokenizers numpy\n```",
        "In this folder:",
        _code(tokenizer, multi_label=multi_label),
        "## Inputs and outputs",
        _interface(tokenizer, multi_label=multi_label),
        "## Checks",
        *_checks(report),
        "## Made with",
        _versions(),
    ]
    text = "\n\n".join(parts) + "\n"
    # a path that is not UTF-8 holds lone surrogates, which no UTF-8 file can
    return text.encode("utf-8", "backslashreplace").decode()


def _code(tokenizer: TextTokenizer, *, multi_label: bool) -> str:
    most = tokenizer.max_length
    cut = {
        "head": f"ids[:{most}]",
        "tail": f"ids[-{most}:]",
        "both": f"ids[:{most // 4}] + ids[-{most - most // 4}:] if len(ids) > {most} else ids",
    }[tokenizer.truncation]
    more, answer = "", "print(labels[probabilities.argmax()], probabilities.max())"
    if multi_label:
        more = '\nthresholds = numpy.array(json.load(open("thresholds.json")))'
        answer = """for label in numpy.flatnonzero(probabilities >= thresholds):
    print(labels[label], probabilities[label])"""
    return f"""```python
import json, numpy, onnxruntime, tokenizers
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx")
labels = json.load(open("labels.json", encoding="utf-8")){more}
text = "A wonderful story."
ids = tokenizer.encode(text.strip() and text, add_special_tokens=False).ids or [{UNK_ID}]
ids = {cut}
inputs = {{"input_ids": numpy.array([ids], "int64"), "lengths": numpy.array([len(ids)], "int64")}}
probabilities = session.run(["probabilities"], inputs)[0][0]
{answer}
```"""


def _interface(tokenizer: TextTokenizer, *, multi_label: bool) -> str:
    which = {
        "head": "the first",
        "tail": "the last",
        "both": "the first quarter and the last three quarters of",
    }[tokenizer.truncation]
    function = "sigmoid" if multi_label else "softmax"
    several = (
        "\n\nA text has all labels whose probability is at least their number in "
        "`thresholds.json`: any\nnumber of them, or none."
        if multi_label
        else ""
    )
    return f"""| name | type | shape | what it is |
| --- | --- | --- | --- |
| `input_ids` | int64 | batch, time | ids of `tokenizer.json`; behind a text's end any, such as 0 |
| `lengths` | int64 | batch | tokens of each text, from 1 to time |
| `logits` | float32 | batch, labels | before the {function} |
| `probabilities` | float32 | batch, labels | in the order of `labels.json` |

Batch and time may have any size. Of a longer text {which} {tokenizer.max_length} tokens are read.
An empty text, or one of white space alone, is one unknown token: `{UNK}`, id {UNK_ID}. Texts in a
batch do not influence each other's results.{several}"""


def _checks(report: OnnxReport) -> Iterator[str]:
    parity = report.parity
    yield (
        f"{'The float32 model' if report.int8 else 'The model'} was run by ONNX Runtime beside the "
        f"PyTorch network on {parity.texts:,} random texts of 1 to 600 tokens in {parity.batches} "
        f"batches. The largest difference was {parity.logits:.1e} in a logit and "
        f"{parity.probabilities:.1e} in a probability."
    )
    if report.float32 is None:
        return
    source = f" of {_line(report.data_name)}" if report.data_name else ""
    yield f"On {report.texts:,} labelled texts{source}:"
    columns = {"float32": report.float32, "int8": report.int8}
    given = {name: judged for name, judged in columns.items() if judged is not None}
    rows = [
        ["", *given],
        ["---"] * (1 + len(given)),
        ["accuracy", *(f"{judged.accuracy:.4f}" for judged in given.values())],
        ["macro F1", *(f"{judged.macro_f1:.4f}" for judged in given.values())],
        ["`model.onnx`, MB", *(f"{judged.size / 1e6:.2f}" for judged in given.values())],
        [
            f"texts a second, {report.threads} threads",
            *(f"{judged.speed:,.0f}" for judged in given.values()),
        ],
    ]
    yield "\n".join("| " + " | ".join(row) + " |" for row in rows)
    if report.int8 is not None and report.agreement is not None:
        yield (
            f"The model in this folder is the int8 one: embeddings and LSTM weights have 8 bits, "
            f"and so have the LSTM's products. It gives {report.agreement:.2%} of these texts the "
            f"labels of the float32 model, at {report.int8.size / report.float32.size:.2f} of its "
            f"size and {report.int8.speed / report.float32.speed:.2f} times its speed. The speed "
            "is that of the model alone, without the tokenizer, on the machine of the export."
        )


def _versions() -> str:
    versions = {**current_versions(), **{name: version(name) for name in ("onnx", "onnxruntime")}}
    return "\n".join(f"- {name}: {number}" for name, number in versions.items())


def _line(text: str) -> str:
    """Give text that Markdown shows as it is, on one line."""
    return f"`{' '.join(text.replace('`', ' ').split())}`"
