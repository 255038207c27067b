"""The campaigns of `fuzz.py`: each makes one case from a seed, runs it and checks the result."""

from __future__ import annotations

import csv
import gc
import hashlib
import io
import itertools
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import textlstm.training.train  # noqa: F401 - loaded once for all children
from textlstm import TextClassifier, TrainSettings
from textlstm.classifier.base import PARTS as PARTS_OF_BASE
from textlstm.classifier.base import Base, read_base, save_base
from textlstm.classifier.model_card import format_description
from textlstm.classifier.model_folder import RunRecord
from textlstm.cli import main as textlstm_main
from textlstm.config import CASCADES, POOLINGS, PredictionConfig
from textlstm.evaluation.cascade import Cascade
from textlstm.evaluation.cascade import name as share_name
from textlstm.export.formats import export_model
from textlstm.export.onnx_model import OnnxModel
from textlstm.export.onnx_session import OnnxSession
from textlstm.nn.device import seed_everything
from textlstm.nn.network import BiLSTMClassifier
from textlstm.prediction.engines import make_engine
from textlstm.prediction.files import classify_file
from textlstm.text.tokenizer import TextTokenizer

WORDS = ["a", "the", "film", "was", "dull", "bright", "slow", "not", "never", "naïve", "映画"]
# What is odd to some rule of some tokenizer or file format.
PARTS = [
    *("<pad>", "<unk>", "[PAD]", "<br />", "n't", "##a", "👩‍🔬", "🇩🇪", "e\u0301", "  ", "a" * 300),
    *("NaN", "null", "1e999", "-0", "=1+1", '""', "\\N", "\r\n", "\ud7ff", "\uffff", "\U0010ffff"),
    *"'’İΣǅ\u0301😀中ไ\x00\x1c\x85\xa0\u2028\u200b\ufeff\xad \t\n\r\",;\\#▁{[&",
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**9, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "a", "word", "1", "\x00", [], {}, [[]], [None], {"": {}}),
]
# Values that mean something in one of the files.
NAMES = [
    *("F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "[PAD]", "<unk>", "##", "char", "bpe"),
    *("unigram", "wordpiece", "basic_english", *POOLINGS, "head", "both", "validation", "0.1", "ß"),
]
# Components of the tokenizers library that a tokenizer trained here may lack.
PIECES: list[Any] = [
    *(
        {"type": name}
        for name in ("Lowercase", "NFKC", "StripAccents", "Nmt", "Whitespace", "Fuse")
    ),
    {"type": "Precompiled", "precompiled_charsmap": ""},
    {"type": "FixedLength", "length": 0},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "aa" * 500},
    {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
    {"type": "Replace", "pattern": {"Regex": ""}, "content": "a"},
    {"type": "Split", "pattern": {"Regex": "(.*)*x"}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Punctuation", "behavior": "Isolated"},
    {"type": "Digits", "individual_digits": True},
    {"type": "Prepend", "prepend": "a" * 999},
    {"type": "Sequence", "normalizers": []},
    {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
    {"type": "BPE", "dropout": 0.5, "unk_token": None, "vocab": {}, "merges": [["a", "b"]]},
    {"type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]], "byte_fallback": False},
]
# JSON that a reader and a writer of numbers or strings would change.
LITERALS = (
    *("1.10", "-0", "1E400", "123456789012345678901", '{"a":1,"a":2}', '"\\u00e9"', '"\\/"'),
    *("[" * 300 + "]" * 300, '"\\ud800"', "[1,  2]", "1e5", "0.1000000000000000055511151231257827"),
)
CHANGED = {
    "NaN": "null",
    "Infinity": "null",
    '"\\ud800"': '"\\ufffd"',
}  # no JSON: readers refuse it
SEALED = ("model.safetensors", "tokenizer.json", "vocab.txt")


class WrongError(Exception):
    """A result is wrong or lost."""


def expect(condition: object, message: str) -> None:
    """Raise `WrongError` unless the condition holds."""
    if not condition:
        raise WrongError(message)


def make_text(rng: random.Random) -> str:
    """Return a text of ordinary and odd parts; most are short, a few are long."""
    count = rng.choice((0, 1, 2, 5, 20, 20, rng.randrange(2000)))
    parts = (
        rng.choices(WORDS, k=count) if rng.random() < 0.2 else rng.choices(WORDS + PARTS, k=count)
    )
    if rng.random() < 0.2:
        parts += [chr(c) for c in rng.choices(range(0x110000), k=5) if not 0xD800 <= c < 0xE000]
    return rng.choice((" ", "")).join(parts)


def make_classifier(rng: random.Random, tokenizer: str, **options: Any) -> TextClassifier:
    """Return an untrained classifier of a random shape."""
    shape = {
        "embedding_size": rng.randint(1, 6),
        "hidden_size": rng.randint(1, 6),
        "num_layers": rng.randint(1, 2),
        "pooling": rng.choice(POOLINGS),
        "ngrams": rng.choice((0, 2, 3)),
        "ngram_buckets": 50,
        "max_length": rng.randint(1, 60),
        "truncation": rng.choice(("head", "tail", "both")),
        "min_frequency": 1,
        "vocab_size": 200,
    }
    settings = TrainSettings.from_options(tokenizer=tokenizer, **{**shape, **options})
    texts = [" ".join(WORDS), *(" ".join(rng.choices(WORDS, k=9)) for _ in range(30))]
    text_tokenizer = TextTokenizer.train(lambda: [texts], settings.tokenizer)
    labels = ("bad", "good", "très | <b>")[: rng.randint(2, 3)]
    several = rng.random() < 0.3
    seed_everything(rng.randrange(2**31))
    network = BiLSTMClassifier(
        settings.model,
        vocab_size=len(text_tokenizer.vocabulary),
        num_classes=len(labels),
        multi_label=several,
    )
    with torch.no_grad():
        network.linear.weight.normal_(std=3)
    thresholds = (0.5,) * len(labels) if several else None
    cascade = None
    if settings.model.ngrams:
        cascade = Cascade(1.0, {share_name(share): rng.random() for share in CASCADES})
    return TextClassifier(
        network,
        text_tokenizer,
        labels,
        settings,
        thresholds=thresholds,
        cascade=cascade,
        record=RunRecord(history=({"epoch": 1, "train_loss": 0.7},)),
        device="cpu",
    )


class Campaign(ABC):
    """Cases of one kind.

    Args:
        folder: for what all cases share; it outlives them.
    """

    batch = 100  # cases in a child
    unit = ""  # of what a case tries several
    tokenizers: tuple[str, ...] = ("word", "char", "bpe", "unigram", "wordpiece")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = random.Random(0)
        self.classifiers = [make_classifier(rng, tokenizer) for tokenizer in self.tokenizers]

    @abstractmethod
    def run(self, seed: int, folder: Path) -> int:
        """Run a case in an empty folder.

        Returns:
            How many inputs were tried.

        Raises:
            WrongError: a result is not what it must be.
        """


def mutated_json(rng: random.Random, value: Any) -> Any:
    """Return JSON with one value at a random place changed, removed, added or nested."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        changed = value.copy()
        action = rng.random()
        if action < 0.12:
            del changed[key]
        elif action < 0.2 and isinstance(changed, dict):
            changed[rng.choice((*keys, "", "unknown", "labels"))] = rng.choice(VALUES)
        elif action < 0.25 and isinstance(changed, list):
            changed.insert(rng.randrange(len(changed) + 1), rng.choice([*VALUES, *changed]))
        else:
            changed[key] = mutated_json(rng, changed[key])
        return changed
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice((-value, value + 1, value * 1000, str(value), f"{value}.5"))
    if isinstance(value, str) and rng.random() < 0.6:
        return rng.choice(NAMES) if rng.random() < 0.5 else make_text(rng)[:200]
    if (isinstance(value, dict) and "type" in value) or rng.random() < 0.1:
        piece = rng.choice(PIECES)
        if rng.random() < 0.3:
            several = [piece] * rng.choice((1, 2, 10))
            piece = {"type": "Sequence", "normalizers": several, "pretokenizers": several}
        return piece
    if rng.random() < 0.03:
        for _ in range(rng.choice((10, 1000, 100_000))):
            value = [value]
        return value
    return rng.choice(VALUES)


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with some changed, removed, repeated or inserted."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, size = rng.randrange(len(changed) + 1), rng.choice((1, 1, 2, 4, 8, 100))
        action = rng.random()
        if action < 0.4 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif action < 0.6:
            del changed[at : at + size]
        elif action < 0.8:
            changed[at:at] = changed[at : at + size]
        elif action < 0.9:
            changed[at:at] = rng.choice(PARTS).encode("utf-8", "surrogatepass")
        else:
            del changed[at:]
    return bytes(changed)


def dumped(value: Any) -> str:
    """Return JSON of any depth; the standard encoder ends at the recursion limit."""
    depth = 0
    while isinstance(value, list) and len(value) == 1:
        value, depth = value[0], depth + 1
    try:
        return "[" * depth + json.dumps(value) + "]" * depth
    except RecursionError:
        return "[" * 100_000 + "]" * 100_000


class Folders(Campaign):
    """Damaged model folders, bases and ONNX folders."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        figures = {"accuracy": 0.75, "macro_f1": 0.7, "log_loss": 0.5, "ece": 0.1, "n": 4}
        for number, classifier in enumerate(self.classifiers):
            classifier.save(folder / str(number))
            row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
            size = len(classifier.labels)
            more = {
                "per_label": dict.fromkeys(classifier.labels, row),
                "labels": list(classifier.labels),
                "confusion_matrix": [[1] * size] * size,
            }
            text = json.dumps({"validation": {**figures, **more}})
            (folder / str(number) / "metrics.json").write_text(text)
        state = classifier.model.state_dict()
        weights = {name: state[name] for name in state if name.startswith(PARTS_OF_BASE)}
        base = Base("base", classifier.tokenizer, classifier.settings, weights)
        save_base(folder / "base", base, RunRecord())
        for name, ngrams in (("onnx", 0), ("onnx-cascade", 2)):
            classifier = make_classifier(random.Random(5), "word", ngrams=ngrams)
            export_model(classifier, "onnx", folder / name)
        self.names = sorted(path.name for path in folder.iterdir())

    def run(self, seed: int, folder: Path) -> int:
        """Damage a folder, sign it, load, describe and use it."""
        rng = random.Random(seed)
        name, model = rng.choice(self.names), folder / "model"
        shutil.copytree(self.folder / name, model)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            self._damage(rng, model)
        if name.startswith("onnx"):
            return self._use_onnx(rng, OnnxModel(model))
        self._sign(model)
        if name == "base":
            base = read_base(model)
            base.tokenizer.encode_batch([make_text(rng)])
            save_base(folder / "again", base, RunRecord())
            return 1
        classifier = TextClassifier.load(model)
        format_description(classifier.describe())
        texts = [make_text(rng) for _ in range(3)]
        for text, found in zip(texts, classifier.predict(texts), strict=True):
            score = found.score
            expect((score is None) == (not text.strip()), f"{text!r} has the score {score}")
            expect(score is None or 0 <= score <= 1.0001, f"the score is {score}")
        if rng.random() < 0.2:
            classifier.save(folder / "again")
        return 1

    @staticmethod
    def _use_onnx(rng: random.Random, model: OnnxModel) -> int:
        config = PredictionConfig(engine="onnx", threads=1, cascade=rng.choice((None, 0.01)))
        engine = make_engine(model, config)
        texts = [make_text(rng).strip() or "film" for _ in range(2)]
        found, _ = engine.predict(engine.encode(texts))
        expect(np.isfinite(found).all(), f"a probability is not finite: {found}")
        return 1

    def _damage(self, rng: random.Random, model: Path) -> None:
        paths = [path for path in sorted(model.iterdir()) if path.suffix != ".md"]
        path = rng.choice(paths)
        data = path.read_bytes()
        if rng.random() < 0.15:
            path.write_bytes(mutated_bytes(rng, data))
        elif path.suffix in (".json", ".jsonl"):
            try:
                value = json.loads(data)  # the history has one line
            except (ValueError, RecursionError):  # damaged before
                value = {}
            path.write_text(dumped(mutated_json(rng, value)))
        elif path.suffix == ".safetensors":
            path.write_bytes(self._damaged_weights(rng, data))
        else:
            lines = data.split(b"\n")
            at = rng.randrange(len(lines))
            lines[at : at + 1] = rng.choice(([], [lines[at]] * 2, [mutated_bytes(rng, lines[at])]))
            path.write_bytes(b"\n".join(lines))

    @staticmethod
    def _damaged_weights(rng: random.Random, data: bytes) -> bytes:
        try:
            size = struct.unpack("<Q", data[:8])[0]
            header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
        except (ValueError, RecursionError, struct.error):  # damaged before
            return mutated_bytes(rng, data)
        if rng.random() < 0.5:
            header = mutated_json(rng, header)
        else:
            value = rng.choice((float("nan"), float("inf"), 1e38, -1e38, 0.0))
            at = 4 * rng.randrange(max(1, len(body) // 4))
            body[at : at + 4] = struct.pack("<f", value)
        text = dumped(header).encode()
        return struct.pack("<Q", len(text)) + text + bytes(body)

    @staticmethod
    def _sign(model: Path) -> None:
        """Make the checksums those of the damaged files, so that what lies behind is reached."""
        path = model / "config.json"
        try:
            config = json.loads(path.read_text())
            for name in SEALED:
                config["sha256"][name] = hashlib.sha256((model / name).read_bytes()).hexdigest()
            if "labels" in config["sha256"]:
                text = json.dumps(list(config["labels"]))
                config["sha256"]["labels"] = hashlib.sha256(text.encode()).hexdigest()
            path.write_text(json.dumps(config))
        except (ValueError, TypeError, KeyError, OSError, RecursionError):
            return  # it is damaged too much to hold a checksum


class Texts(Campaign):
    """Hostile texts."""

    unit = "texts"

    def run(self, seed: int, folder: Path) -> int:
        """Predict texts together, alone and in another order."""
        rng = random.Random(seed)
        classifier = rng.choice(self.classifiers)
        texts = [make_text(rng) for _ in range(20)]
        texts = [text for text in texts if text.strip()] or ["film"]
        together = classifier.predict_proba(texts)
        expect(np.isfinite(together).all(), "a probability is not finite")
        order = rng.sample(range(len(texts)), len(texts))
        shuffled = classifier.predict_proba([texts[i] for i in order], batch_size=3)
        for found, row in zip(shuffled, order, strict=True):
            same = np.allclose(found, together[row], atol=1e-4)
            expect(same, f"{texts[row]!r} depends on the order: {found}, {together[row]}")
        row = rng.randrange(len(texts))
        alone = classifier.predict_proba([texts[row]])[0]
        expect(np.allclose(alone, together[row], atol=1e-4), f"{texts[row]!r} depends on its batch")
        flat, lengths = classifier.tokenizer.encode_batch(texts)
        most = classifier.settings.tokenizer.max_length
        expect((lengths >= 1).all() and (lengths <= most).all(), f"lengths {lengths} beyond {most}")
        expect(flat.min() >= 0 and flat.max() < len(classifier.vocabulary), "an id does not exist")
        return len(texts)


class Rows(Campaign):
    """Files of rows."""

    batch = 50
    tokenizers = ("word", "char")

    def run(self, seed: int, folder: Path) -> int:
        """Label a file; of a well-formed one every row and column must come out unchanged."""
        rng = random.Random(seed)
        kind, out_kind = (rng.choice(("csv", "tsv", "jsonl", "parquet")) for _ in range(2))
        source, target = folder / f"in.{kind}", folder / f"out.{out_kind}"
        rows = [self._row(rng, kind) for _ in range(rng.choice((1, 2, 5, 30)))]
        data = self._written(kind, rows)
        damaged = rng.random() < 0.4
        source.write_bytes(mutated_bytes(rng, data) if damaged else data)
        config = PredictionConfig(text_column=("text",), chunk_rows=rng.choice((1, 3, 4096)))
        classifier = rng.choice(self.classifiers)
        summary = classify_file(classifier, source, target, config)
        found = self._read(out_kind, target)
        expect(len(found) == summary.rows, f"{summary.rows} rows counted, {len(found)} written")
        if not damaged:
            self._compare(rows, found, csv.__name__ if "sv" in kind else kind, out_kind)
            self._check_labels(classifier, rows, found)
            if kind == out_kind == "jsonl":
                lines = target.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
                for row, line, after in zip(rows, lines, found, strict=False):
                    kept = CHANGED.get(row["more"], row["more"])
                    same = after.get("error") or f'"more": {kept}' in line
                    expect(same, f"the value {row['more'][:200]} became {line[-500:]}")
        return 1

    @staticmethod
    def _compare(before: list[dict[str, Any]], after: list[dict[str, Any]], *kinds: str) -> None:
        """Raise `WrongError` unless every row has kept its columns, or has an error."""
        expect(len(before) == len(after), f"{len(before)} rows in, {len(after)} out")
        as_text = any("sv" in kind for kind in kinds)
        for row, found in zip(before, after, strict=True):
            for name in () if found.get("error") else ("id", "text"):
                same = str(row[name]) == str(found[name]) if as_text else row[name] == found[name]
                expect(same, f"column {name}: {row[name]!r} became {found[name]!r}")

    @staticmethod
    def _check_labels(
        classifier: TextClassifier, rows: list[dict[str, Any]], found: list[dict[str, Any]]
    ) -> None:
        """Raise `WrongError` unless each text has the label that it has alone."""
        for row, after in zip(rows, found, strict=True):
            if after.get("error") or classifier.multi_label or not row["text"].strip():
                continue
            alone = classifier.predict_proba([row["text"]])[0]
            best = classifier.labels[int(alone.argmax())]
            near = np.sort(alone)[-1] - np.sort(alone)[-2] < 1e-3
            expect(
                after["label"] == best or near, f"{row['text']!r} has the label {after['label']}"
            )
            break  # one is enough for a file

    @staticmethod
    def _row(rng: random.Random, kind: str) -> dict[str, Any]:
        row: dict[str, Any] = {"id": rng.choice(WORDS + PARTS), "text": make_text(rng)[:500]}
        if kind == "jsonl":
            value = rng.choice(VALUES)
            row["more"] = rng.choice(LITERALS) if rng.random() < 0.3 else json.dumps(value)
        elif kind != "parquet":  # a NUL byte makes a bad row, and what follows may be another
            row = {name: value.replace("\0", "") for name, value in row.items()}
        return row

    @staticmethod
    def _written(kind: str, rows: list[dict[str, Any]]) -> bytes:
        if kind == "jsonl":
            lines = (
                f'{{"id": {json.dumps(row["id"])}, "text": {json.dumps(row["text"])}, '
                f'"more": {row["more"]}}}\n'
                for row in rows
            )
            return "".join(lines).encode()
        sink = io.BytesIO()
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), sink)
            return sink.getvalue()
        text = io.StringIO(newline="")
        delimiter = "," if kind == "csv" else "\t"
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    @staticmethod
    def _read(kind: str, path: Path) -> list[dict[str, Any]]:
        if kind == "parquet":
            return list(pq.read_table(path).to_pylist())
        if kind == "jsonl":
            return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            csv.field_size_limit(10**9)
            return list(csv.DictReader(file, delimiter="," if kind == "csv" else "\t"))


class Exports(Campaign):
    """Exports of random networks."""

    batch = 20
    tokenizers = ()

    def run(self, seed: int, folder: Path) -> int:
        """Export a network and compare what the export predicts."""
        rng = random.Random(seed)
        kinds = ("word", "basic_english", "whitespace", "char", "bpe", "unigram", "wordpiece")
        classifier = make_classifier(rng, rng.choice(kinds), bidirectional=rng.random() < 0.7)
        form = rng.choice(("onnx", "onnx", "safetensors", "torch", "vocab"))
        name = {"onnx": "out", "safetensors": "m.safetensors", "torch": "m.pt"}.get(form, "v.txt")
        export_model(classifier, form, folder / name)
        if form == "onnx":
            session = OnnxSession(folder / name / "model.onnx", threads=1)
            for text in (make_text(rng).strip() or "film" for _ in range(10)):
                flat, lengths = classifier.tokenizer.encode_batch([text])
                found = session(flat[None].astype(np.int64), lengths.astype(np.int64))[1][0]
                expected = classifier.predict_proba([text])[0]
                expect(np.allclose(found, expected, atol=1e-3), f"{text!r}: {found} for {expected}")
        classifier.save(folder / "model")
        again = TextClassifier.load(folder / "model", device="cpu")
        text = make_text(rng).strip() or "film"
        same = np.array_equal(again.predict_proba([text]), classifier.predict_proba([text]))
        expect(same, f"{text!r}: the saved model predicts something else")
        return 1


class Faults(Campaign):
    """Commands that are killed and resumed."""

    batch = 10
    unit = "kills"
    tokenizers = ("word",)
    files = ("model.safetensors", "tokenizer.json", "vocab.txt", "metrics.json")
    small = "--embedding-size 4 --hidden-size 4 --num-layers 1 --epochs 2 --batch-size 8 --resume"
    small += " --threads 1 --checkpoint-minutes 0"
    commands: ClassVar = {  # by name: the words, and the result's
        "train": (f"train train.csv {small} --no-report", "model"),
        "train-report": (f"train train.csv {small} --ngrams 0", "model"),
        "pretrain": (f"pretrain train.csv {small} --no-report", "base"),
        "tune": (f"tune train.csv {small} --no-report --trials 3 --monitor loss", "tuned"),
        "predict": ("predict model new.csv --chunk-rows 7 --resume", "new.csv"),
        "predict-parquet": ("predict model new.csv --chunk-rows 7 --resume", "new.parquet"),
        "export": ("export model --format onnx --overwrite", "onnx"),
        "export-weights": ("export model --format safetensors --overwrite", "w.safetensors"),
        "export-vocabulary": ("export model --format vocab --overwrite", "vocab.txt"),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.classifiers[0].save(folder / "model")
        rng = random.Random(0)
        rows = [(" ".join(rng.choices(WORDS, k=8)), rng.choice(("x", "y"))) for _ in range(40)]
        for name, header in (("train.csv", ["text", "label"]), ("new.csv", ["text", "id"])):
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *rows])
        self.expected: dict[str, dict[str, bytes]] = {}
        self.limits: dict[str, tuple[int, float]] = {}
        for name, (_, result) in self.commands.items():
            out = folder / f"straight-{name}" / result
            out.parent.mkdir()
            textlstm_main(self._words(name, out))  # loads what the children need
            self.expected[name] = self._contents(out)
            started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            again = folder / f"again-{name}" / result
            again.parent.mkdir()
            _, events = self._run(self._words(name, again), None)
            seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - started
            self.limits[name] = events, seconds

    def _words(self, name: str, out: Path) -> list[str]:
        words, _ = self.commands[name]
        paths = {path.name: str(path) for path in self.folder.iterdir()}
        return [paths.get(word, word) for word in words.split()] + ["--out", str(out)]

    def run(self, seed: int, folder: Path) -> int:
        """Kill a command once or more, finish it and compare the bytes."""
        rng = random.Random(seed)
        name = rng.choice(sorted(self.commands))
        out = folder / self.commands[name][1]
        words, (events, seconds) = self._words(name, out), self.limits[name]
        kills, moments = 0, []
        for _ in range(rng.choice((1, 1, 2, 3))):
            at_event = rng.random() < 0.6
            moments.append(rng.randint(1, events) if at_event else rng.uniform(0, seconds))
            was_killed, _ = self._run(words, moments[-1])
            kills += was_killed
            if not was_killed:
                break
            self._check(name, out, moments)
        else:
            self._run(words, None)
        expect(self._contents(out).keys() == self.expected[name].keys(), f"{name}: files are lost")
        self._check(name, out, moments)
        left = {path.name for path in folder.iterdir() if path.name[0] != "."} - {out.name}
        expect(not left, f"{name} left {left} after kills at {moments}")
        return kills

    def _check(self, name: str, out: Path, moments: list[float]) -> None:
        """Raise `WrongError` if there is a result with other bytes than an undisturbed one."""
        found, expected = self._contents(out), self.expected[name]
        different = {
            key for key in expected.keys() | found.keys() if found.get(key) != expected.get(key)
        }
        expect(not found or not different, f"{name}: {different} differ after kills at {moments}")

    def _contents(self, out: Path) -> dict[str, bytes]:
        """Return the files of a result whose bytes are always the same; none if it is not done."""
        if out.is_file():
            return {"": out.read_bytes()}
        if out.name in ("model", "base", "tuned") and not (out / "config.json").exists():
            return {}
        paths = [out / name for name in self.files] if out.name != "onnx" else out.glob("*")
        contents = {path.name: path.read_bytes() for path in paths if path.exists()}
        return contents | self._trials(out / "trials.csv")

    @staticmethod
    def _trials(path: Path) -> dict[str, bytes]:
        """Return the table of a tuning without the trials that were stopped, numbers and times."""
        if not path.exists():
            return {}
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["ended"] != "stopped"]
        kept = [{k: v for k, v in row.items() if k not in ("trial", "minutes")} for row in rows]
        return {path.name: json.dumps(kept).encode()}

    @staticmethod
    def _run(words: list[str], moment: float | None) -> tuple[bool, int]:
        """Run a command in a child and kill it.

        Args:
            words: the command.
            moment: a whole number: before that operation on a file; a fraction: after so many
                seconds of CPU time; None: never.

        Returns:
            Whether it was killed, and the number of operations.
        """
        count = mmap.mmap(-1, 8)
        child = os.fork()
        if not child:
            gc.disable()
            done = itertools.count(1)

            def watch(event: str, _: Any) -> None:
                if event == "open" or event.startswith(("os.", "shutil.")):
                    count[:] = struct.pack("q", number := next(done))
                    if number == moment:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(watch)
            if isinstance(moment, float):
                signal.setitimer(signal.ITIMER_PROF, max(moment, 1e-3))
            os._exit(textlstm_main(words))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        usual = (0, 2, -signal.SIGKILL, -signal.SIGPROF)
        expect(status in usual, f"{words} ended with {status}")
        return status < 0, struct.unpack("q", count[:])[0]


CAMPAIGNS: dict[str, type[Campaign]] = {
    "folders": Folders,
    "texts": Texts,
    "rows": Rows,
    "exports": Exports,
    "faults": Faults,
}
