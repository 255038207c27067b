"""The campaigns of `fuzz.py`: each makes one case from a seed, runs it and checks the result."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import textlstm.training.train  # noqa: F401 - loaded once for all children
from textlstm import TextClassifier, TrainSettings
from textlstm.cli import main as textlstm_main
from textlstm.config import POOLINGS, PredictionConfig
from textlstm.export.formats import export_model
from textlstm.nn.device import seed_everything
from textlstm.nn.network import BiLSTMClassifier
from textlstm.prediction.files import classify_file
from textlstm.text.tokenizer import TextTokenizer

WORDS = ["a", "the", "film", "was", "dull", "bright", "slow", "not", "never", "naïve", "映画"]
# What is odd to some rule of some tokenizer or file format.
PARTS = [
    *(
        "<pad>",
        "<unk>",
        "[PAD]",
        "<br />",
        "'",
        "’",
        "n't",
        "İ",
        "Σ",
        "ǅ",
        "e\u0301",
        "\u0301",
        "😀",
    ),
    *(
        "👩‍🔬",
        "🇩🇪",
        "中",
        "ไ",
        "\x00",
        "\x1c",
        "\x85",
        "\xa0",
        "\u2028",
        "\u200b",
        "\ufeff",
        "\xad",
    ),
    *(
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        '"',
        '""',
        ",",
        ";",
        "\\",
        "\\N",
        "NaN",
        "null",
        "1e999",
    ),
    *("-0", "=1+1", "#", "##a", "▁", "{", "[", "&", "\ud7ff", "\uffff", "\U0010ffff", "a" * 300),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**9, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "a", "word", "1", "\x00", [], {}, [[]], [None], {"": {}}),
]
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
    return TextClassifier(
        network, text_tokenizer, labels, settings, thresholds=thresholds, device="cpu"
    )


def command(*words: object) -> int:
    """Run a textlstm command in this process; raise `WrongError` if it ends in an unusual way."""
    code = textlstm_main([str(word) for word in words])
    expect(code in (0, 2), f"textlstm {words} ended with exit code {code}")
    return code


class Campaign(ABC):
    """Cases of one kind.

    Args:
        folder: for what all cases share; it outlives them.
    """

    inputs = 1  # in a case
    tokenizers: tuple[str, ...] = ("word", "char", "bpe", "unigram", "wordpiece")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = random.Random(0)
        self.classifiers = [make_classifier(rng, tokenizer) for tokenizer in self.tokenizers]

    @abstractmethod
    def run(self, seed: int, folder: Path) -> str:
        """Run a case in an empty folder.

        Returns:
            Why the input was refused, or '' if all went well.

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
    if isinstance(value, str) and rng.random() < 0.4:
        return make_text(rng)[:200]
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
    """Damaged model folders."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        metrics = {"accuracy": 0.75, "macro_f1": 0.7, "log_loss": 0.5, "ece": 0.1, "n": 4}
        for number, classifier in enumerate(self.classifiers):
            classifier.save(folder / str(number))
            table = {
                label: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
                for label in classifier.labels
            }
            size = len(table)
            more = {
                "per_label": table,
                "labels": list(table),
                "confusion_matrix": [[1] * size] * size,
            }
            text = json.dumps({"validation": {**metrics, **more}})
            (folder / str(number) / "metrics.json").write_text(text)
            line = json.dumps({"epoch": 1, "loss": 0.7})
            (folder / str(number) / "history.jsonl").write_text(line + "\n")

    def run(self, seed: int, folder: Path) -> str:
        """Damage a folder, sign it, load, inspect and use it."""
        rng = random.Random(seed)
        model = folder / "model"
        shutil.copytree(self.folder / str(rng.randrange(len(self.classifiers))), model)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            self._damage(rng, model)
        self._sign(model)
        command("inspect", model)
        classifier = TextClassifier.load(model)
        texts = [make_text(rng) for _ in range(3)]
        for text, found in zip(texts, classifier.predict(texts), strict=True):
            score = found.score
            expect((score is None) == (not text.strip()), f"{text!r} has the score {score}")
            expect(score is None or 0 <= score <= 1.0001, f"the score is {score}")
        classifier.save(folder / "again")
        return ""

    def _damage(self, rng: random.Random, model: Path) -> None:
        path = rng.choice(sorted(model.iterdir()))
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
        except (ValueError, struct.error):  # damaged before
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

    inputs = 20

    def run(self, seed: int, folder: Path) -> str:
        """Predict texts together, alone and in another order."""
        rng = random.Random(seed)
        classifier = rng.choice(self.classifiers)
        texts = [make_text(rng) for _ in range(self.inputs)]
        texts = [text for text in texts if text.strip()] or ["film"]
        together = classifier.predict_proba(texts)
        expect(np.isfinite(together).all(), "a probability is not finite")
        order = rng.sample(range(len(texts)), len(texts))
        shuffled = classifier.predict_proba([texts[i] for i in order], batch_size=3)
        for position, row in enumerate(order):
            same = np.allclose(shuffled[position], together[row], atol=1e-4)
            expect(
                same, f"{texts[row]!r} depends on the order: {shuffled[position]}, {together[row]}"
            )
        row = rng.randrange(len(texts))
        alone = classifier.predict_proba([texts[row]])[0]
        expect(np.allclose(alone, together[row], atol=1e-4), f"{texts[row]!r} depends on its batch")
        flat, lengths = classifier.tokenizer.encode_batch(texts)
        most = classifier.settings.tokenizer.max_length
        expect((lengths >= 1).all() and (lengths <= most).all(), f"lengths {lengths} beyond {most}")
        expect(flat.min() >= 0 and flat.max() < len(classifier.vocabulary), "an id does not exist")
        return ""


class Rows(Campaign):
    """Files of rows."""

    tokenizers = ("word", "char")

    def run(self, seed: int, folder: Path) -> str:
        """Label a file; of a well-formed one every row and column must come out unchanged."""
        rng = random.Random(seed)
        kind, out_kind = (rng.choice(("csv", "tsv", "jsonl", "parquet")) for _ in range(2))
        source, target = folder / f"in.{kind}", folder / f"out.{out_kind}"
        count = rng.choice((1, 2, 5, 30))
        rows = [self._row(rng, kind == "jsonl") for _ in range(count)]
        if kind in ("csv", "tsv"):  # a NUL byte makes a bad row, and what follows may be another
            rows = [{name: value.replace("\0", "") for name, value in row.items()} for row in rows]
        damaged = rng.random() < 0.4
        data = self._written(kind, rows)
        source.write_bytes(mutated_bytes(rng, data) if damaged else data)
        config = PredictionConfig(text_column=("text",), chunk_rows=rng.choice((1, 3, 4096)))
        summary = classify_file(rng.choice(self.classifiers), source, target, config)
        found = self._read(out_kind, target)
        expect(len(found) == summary.rows, f"{summary.rows} rows counted, {len(found)} written")
        if damaged:
            return ""
        expect(len(found) == count, f"{count} rows in, {len(found)} out")
        for before, after in zip(rows, found, strict=True):
            if after.get("error"):
                continue
            text = out_kind in ("csv", "tsv")
            for name in ("id", "text"):
                same = str(before[name]) == after[name] if text else before[name] == after[name]
                if kind in ("csv", "tsv"):
                    same = str(before[name]) == str(after[name])
                expect(same, f"column {name}: {before[name]!r} became {after[name]!r}")
        return ""

    @staticmethod
    def _row(rng: random.Random, nested: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"id": rng.choice(WORDS + PARTS), "text": make_text(rng)[:500]}
        if nested:
            row["more"] = rng.choice(VALUES)
        return row

    @staticmethod
    def _written(kind: str, rows: list[dict[str, Any]]) -> bytes:
        if kind == "jsonl":
            return "".join(json.dumps(row) + "\n" for row in rows).encode()
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

    tokenizers = ()

    def run(self, seed: int, folder: Path) -> str:
        """Export a network and compare what the export predicts."""
        rng = random.Random(seed)
        kinds = ("word", "basic_english", "whitespace", "char", "bpe", "unigram", "wordpiece")
        classifier = make_classifier(rng, rng.choice(kinds), bidirectional=rng.random() < 0.7)
        form = rng.choice(("onnx", "onnx", "safetensors", "torch", "vocab"))
        name = {"onnx": "out", "safetensors": "m.safetensors", "torch": "m.pt"}.get(form, "v.txt")
        export_model(classifier, form, folder / name)
        if form == "onnx":
            from textlstm.export.onnx_session import OnnxSession

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
        return ""


class Faults(Campaign):
    """Commands that are killed and resumed."""

    tokenizers = ("word",)
    files = ("model.safetensors", "tokenizer.json", "vocab.txt", "metrics.json")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.classifiers[0].save(folder / "model")
        rng = random.Random(0)
        rows = [(" ".join(rng.choices(WORDS, k=8)), rng.choice(("x", "y"))) for _ in range(80)]
        for name, header in (("train.csv", ["text", "label"]), ("new.csv", ["text", "id"])):
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *rows])
        self.commands: dict[str, Callable[[Path], list[object]]] = {
            "train": self._train,
            "predict": self._predict,
        }
        self.renames: dict[str, int] = {}
        self.expected: dict[str, dict[str, bytes]] = {}
        for name, words in self.commands.items():
            out = folder / f"straight-{name}"
            _, self.renames[name] = self._run(words(out), None)
            self.expected[name] = self._contents(out)

    def _train(self, out: Path) -> list[object]:
        small = "--embedding-size 4 --hidden-size 4 --num-layers 1 --epochs 2 --batch-size 8"
        words = ["train", self.folder / "train.csv", "--out", out, *small.split()]
        return [*words, "--threads", 1, "--checkpoint-minutes", 0, "--resume"]

    def _predict(self, out: Path) -> list[object]:
        words = ["predict", self.folder / "model", self.folder / "new.csv", "--out", f"{out}.csv"]
        return [*words, "--chunk-rows", 7, "--resume"]

    def run(self, seed: int, folder: Path) -> str:
        """Kill a command once or more, resume it and compare the bytes."""
        rng = random.Random(seed)
        name = rng.choice(sorted(self.commands))
        words = self.commands[name](folder / "out")
        for _ in range(rng.choice((1, 1, 2, 3))):
            if not self._run(words, rng.randint(1, self.renames[name]))[0]:
                break  # it was done before
        else:
            self._run(words, None)
        found = self._contents(folder / "out")
        different = [key for key, data in self.expected[name].items() if found.get(key) != data]
        expect(not different, f"{name}: {different} differ after being resumed")
        return ""

    def _contents(self, out: Path) -> dict[str, bytes]:
        paths = [out / name for name in self.files if (out / name).exists()]
        paths += [path for path in [out.with_name(out.name + ".csv")] if path.exists()]
        return {path.name if path.parent == out else "csv": path.read_bytes() for path in paths}

    @staticmethod
    def _run(words: list[object], limit: int | None) -> tuple[bool, int]:
        """Run a command in a child; kill it just before rename number `limit`.

        Returns:
            Whether it was killed, and the number of renames.
        """
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            rename, done = os.replace, itertools.count(1)

            def counted(source: Any, target: Any, **options: Any) -> None:
                if next(done) == limit:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(writer, b".")
                rename(source, target, **options)

            vars(os)["replace"] = counted
            os._exit(textlstm_main([str(word) for word in words]))
        os.close(writer)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        count = len(os.read(reader, 1 << 16))
        os.close(reader)
        wanted = (0, -signal.SIGKILL) if limit else (0,)
        expect(status in wanted, f"textlstm {words[0]} ended with {status}")
        return status != 0, count


CAMPAIGNS: dict[str, type[Campaign]] = {
    "folders": Folders,
    "texts": Texts,
    "rows": Rows,
    "exports": Exports,
    "faults": Faults,
}
