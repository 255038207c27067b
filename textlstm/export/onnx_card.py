"""The README of an ONNX export: how to use it, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.markdown import bullets, code, encodable, table
from textlstm.classifier.model_folder import current_versions
from textlstm.evaluation.cascade import Cascade
from textlstm.export.parity import Parity
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import UNK, UNK_ID

_ANSWERS = (
    "print(labels[probabilities.argmax()], probabilities.max())",
    """for label in numpy.flatnonzero(probabilities >= thresholds):
    print(labels[label], probabilities[label])""",
)  # of one label a text, of several


@dataclass(frozen=True)
class Measured:
    """The figures of a model on labelled texts.

    Args:
        accuracy: share of texts with the true label (multi-label: with exactly the true labels).
        macro_f1: mean of the labels' F1.
        speed: texts per second, without the tokenizer.
        size: bytes of `model.onnx`.
    """

    accuracy: float
    macro_f1: float
    speed: float
    size: int = 0


@dataclass(frozen=True)
class OnnxReport:
    """The measurements made during an export.

    Args:
        parity: differences between the float32 model and the network.
        threads: CPU threads of the measurements.
        data_name: name of the labelled texts.
        texts: number of labelled texts; 0 without any.
        float32: figures of the float32 model.
        int8: figures of the quantized model.
        agreement: share of texts to which both models assign the same labels.
    """

    parity: Parity
    threads: int = 1
    data_name: str = ""
    texts: int = 0
    float32: Measured | None = None
    int8: Measured | None = None
    agreement: float | None = None


def onnx_card(name: str, classifier: TextClassifier, report: OnnxReport) -> str:
    """Write the README.

    Args:
        name: of the folder.
        classifier: the model.
        report: the measurements.

    Returns:
        Markdown with a block of Python that needs only onnxruntime, tokenizers and numpy, and
        with a cascade another one that goes on from it.
    """
    tokenizer, cascade = classifier.tokenizer, classifier.cascade
    multi_label = classifier.multi_label
    packages = {name: version(name) for name in ("onnx", "onnxruntime")}
    parts = [
        f"# {code(name)}",
        "A text classifier as an ONNX model, trained and exported with textlstm. It needs neither "
        "textlstm nor PyTorch:",
        "```bash\npip install onnxruntime tokenizers numpy\n```",
        "In this folder:",
        _code(tokenizer, multi_label=multi_label),
        *([] if cascade is None else _cascade(cascade, multi_label=multi_label)),
        "## Inputs and outputs",
        _interface(tokenizer, multi_label=multi_label),
        "## Checks",
        *_checks(report),
        "## Made with",
        bullets({**current_versions(), **packages}.items()),
    ]
    return encodable("\n\n".join(parts) + "\n")


def _code(tokenizer: TextTokenizer, *, multi_label: bool) -> str:
    most = tokenizer.max_length
    cut = {
        "head": f"ids[:{most}]",
        "tail": f"ids[-{most}:]",
        "both": f"ids[:{most // 4}] + ids[-{most - most // 4}:] if len(ids) > {most} else ids",
    }[tokenizer.truncation]
    more = '\nthresholds = numpy.array(json.load(open("thresholds.json")))' if multi_label else ""
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
{_ANSWERS[multi_label]}
```"""


def _cascade(cascade: Cascade, *, multi_label: bool) -> Iterator[str]:
    share = next((s for s, least in cascade.certainty.items() if least is not None), "0.01")
    yield "## Faster, with the n-grams first"
    yield """`ngrams.onnx` is a part of the model that takes little time and is certain of many
texts; the others need the whole model. `cascade.json` has how certain it must be so that at most
a share of all texts, such as 0.001, gets another label than from the whole float32 model, with a
confidence of 95% for texts like those it was fitted on; null where these were too few to tell.
After the code above:"""
    sure = "certainty = probabilities.max()"
    if multi_label:
        sure = """values = numpy.clip([probabilities, thresholds], 1e-9, 1 - 1e-9)
distance = numpy.abs(numpy.diff(numpy.log(values) - numpy.log1p(-values), axis=0)).min()
certainty = 1 / (1 + numpy.exp(-distance))"""
    yield f"""```python
ngrams = onnxruntime.InferenceSession("ngrams.onnx")
least = json.load(open("cascade.json"))["certainty"]["{share}"]
probabilities = ngrams.run(["probabilities"], inputs)[0][0].astype("float64")
{sure}
if least is None or certainty < least:
    probabilities = session.run(["probabilities"], inputs)[0][0]
{_ANSWERS[multi_label]}
```"""


def _interface(tokenizer: TextTokenizer, *, multi_label: bool) -> str:
    which = {
        "head": "the first",
        "tail": "the last",
        "both": "the first quarter and the last three quarters of",
    }[tokenizer.truncation]
    function = "sigmoid" if multi_label else "softmax"
    several = (
        "\n\nA text gets every label whose probability reaches its threshold in "
        "`thresholds.json`: any\nnumber of labels, or none."
        if multi_label
        else ""
    )
    return f"""| name | type | shape | meaning |
| --- | --- | --- | --- |
| `input_ids` | int64 | batch, time | ids of `tokenizer.json`; any id, such as 0, as padding |
| `lengths` | int64 | batch | number of tokens of each text, 1 to time |
| `logits` | float32 | batch, labels | before the {function} |
| `probabilities` | float32 | batch, labels | in the order of `labels.json` |

Batch and time can have any size. Longer texts are truncated to {which} {tokenizer.max_length}
tokens. An empty text, or one of white space only, is one unknown token: `{UNK}`, id {UNK_ID}. The
results of a text do not depend on the other texts in its batch.{several}"""


def _checks(report: OnnxReport) -> Iterator[str]:
    parity = report.parity
    yield (
        f"{'The float32 model' if report.int8 else 'The model'} was compared in ONNX Runtime with "
        f"the PyTorch network on {parity.texts:,} random texts of 1 to 600 tokens in "
        f"{parity.batches} batches. The largest difference was {parity.logits:.1e} in a logit and "
        f"{parity.probabilities:.1e} in a probability."
    )
    if report.float32 is None:
        return
    source = f" of {code(report.data_name)}" if report.data_name else ""
    yield f"On {report.texts:,} labelled texts{source}:"
    speed = f"texts per second, {report.threads} threads"
    columns = [["", "accuracy", "macro F1", "model.onnx, MB", speed]]
    for name, found in {"float32": report.float32, "int8": report.int8}.items():
        if found is not None:
            scores = f"{found.accuracy:.4f}", f"{found.macro_f1:.4f}"
            columns.append([name, *scores, f"{found.size / 1e6:.2f}", f"{found.speed:,.0f}"])
    head, *rows = zip(*columns, strict=True)
    yield table(head, rows)
    if report.int8 is not None and report.agreement is not None:
        yield (
            f"The model in this folder is the int8 model: embeddings, LSTM weights and the LSTM's "
            f"products have 8 bits. It assigns {report.agreement:.2%} of these texts the labels of "
            f"the float32 model, at {report.int8.size / report.float32.size:.2f} of its size and "
            f"{report.int8.speed / report.float32.speed:.2f} times its speed. Speeds are measured "
            "without the tokenizer, on the machine of the export."
        )
