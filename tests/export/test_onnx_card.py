"""The README of an export says how the model is used and what was measured, and nothing else."""

import pytest
from tiny_classifier import tiny_classifier

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from textlstm.export.onnx_card import Measured, OnnxReport, onnx_card
from textlstm.export.parity import Parity

PARITY = Parity(41, 1234, 2.3e-6, 4.5e-7)
FLOAT32 = Measured(0.91234, 0.90004, 1000.0, 12_345_678)
INT8 = Measured(0.91111, 0.9, 2345.6, 3_100_000)


def card(report, **options):
    return onnx_card("my model", tiny_classifier(**options), report)


def test_without_data_only_the_comparison_is_told():
    text = card(OnnxReport(PARITY))
    assert text.startswith("# `my model`\n\n")
    assert "The model was compared in ONNX Runtime with the PyTorch network on 1,234" in text
    assert "in 41 batches" in text
    assert "2.3e-06 in a logit and 4.5e-07 in a probability" in text
    assert "accuracy" not in text
    assert "int8" not in text
    assert "- onnxruntime: " in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_figures_of_float32():
    text = card(OnnxReport(PARITY, 2, "x.csv", 300, FLOAT32))
    assert "On 300 labelled texts of `x.csv`:" in text
    assert "|  | float32 |\n| --- | --- |\n| accuracy | 0.9123 |\n| macro F1 | 0.9000 |" in text
    assert "| model.onnx, MB | 12.35 |\n| texts per second, 2 threads | 1,000 |" in text
    assert "int8" not in text


def test_figures_of_both_and_how_they_differ():
    text = card(OnnxReport(PARITY, 2, "", 300, FLOAT32, INT8, 0.9967))
    assert "The float32 model was compared in" in text
    assert "On 300 labelled texts:" in text
    assert "| accuracy | 0.9123 | 0.9111 |" in text
    assert "| model.onnx, MB | 12.35 | 3.10 |" in text
    assert "It assigns 99.67% of these texts" in text
    assert "at 0.25 of its size and 2.35 times its speed" in text


@pytest.mark.parametrize(
    ("truncation", "line", "said"),
    [
        ("head", "ids = ids[:20]", "the first 20 tokens"),
        ("tail", "ids = ids[-20:]", "the last 20 tokens"),
        (
            "both",
            "ids = ids[:5] + ids[-15:] if len(ids) > 20 else ids",
            "the first quarter and the last three quarters of 20 tokens",
        ),
    ],
)
def test_how_long_texts_are_cut_is_in_the_code_and_in_words(truncation, line, said):
    text = card(OnnxReport(PARITY), truncation=truncation)
    assert f"\n{line}\n" in text
    assert said in " ".join(text.split())


def test_names_can_not_break_out_of_their_place():
    name = "a`b\n# c\udcff"
    text = onnx_card(name, tiny_classifier(), OnnxReport(PARITY, 1, name, 1, FLOAT32))
    assert text.startswith("# `a b # c\\udcff`\n")
    assert "of `a b # c\\udcff`:" in text
    text.encode()
