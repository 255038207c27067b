"""The campaigns of `fuzz.py`: each makes one case from a seed, runs it and checks the result."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_faults import Faults
from fuzz_inputs import (
    PARTS,
    VALUES,
    WORDS,
    Campaign,
    dumped,
    expect,
    make_classifier,
    make_text,
    mutated_bytes,
    mutated_json,
)

from textlstm import TextClassifier
from textlstm.classifier.base import Base, read_base, save_base
from textlstm.classifier.model_card import description_table
from textlstm.classifier.model_folder import PARTS as PARTS_OF_BASE
from textlstm.classifier.model_folder import RunRecord
from textlstm.config import PredictionConfig
from textlstm.export.formats import export_model
from textlstm.export.onnx_model import OnnxModel
from textlstm.export.onnx_session import OnnxSession
from textlstm.prediction.engines import make_engine
from textlstm.prediction.files import classify_file

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
        str(description_table(classifier.describe()))
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


CAMPAIGNS: dict[str, type[Campaign]] = {
    "folders": Folders,
    "texts": Texts,
    "rows": Rows,
    "exports": Exports,
    "faults": Faults,
}
