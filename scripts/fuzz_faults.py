"""The campaign of `fuzz.py` that kills commands and resumes them."""

from __future__ import annotations

import csv
import gc
import itertools
import json
import mmap
import os
import random
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import Any, ClassVar

from fuzz_inputs import WORDS, Campaign, expect

import textlstm.training.train  # noqa: F401 - loaded once for all children
from textlstm.cli import main as textlstm_main


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
        "pretrain": (f"pretrain train.csv {small}", "base"),
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
