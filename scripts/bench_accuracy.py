"""Compare accuracy with fastText and TF-IDF with linear models, which also train in minutes.

    python scripts/bench_accuracy.py DATA ... [--presets default] [--seeds 1 2 3]
        [--vectors FILE] [--teachers 5] [--unlabeled FILE]
        [--cut ROWS] [--only ours fasttext logistic svm] [--json FILE]

DATA is anything that `textlstm train` takes. All contenders get the same rows: they learn from
train, select their settings on validation and are evaluated on test. Without a test split they are
evaluated on validation, and the table says so. With --cut, a random sample of train is learned
from, a tenth of it being validation, and validation becomes test: how models do on few texts.

    textlstm     `textlstm train` with each preset and seed; the epoch is selected on validation.
                 With --unlabeled also from a base that `textlstm pretrain` has learned from these
                 texts and those of train, and with --teachers N a student of N models of other
                 seeds, which learns from --unlabeled texts too; the time to pretrain, or to train
                 the teachers, is that of tuning. A row of its own has what the N reach together
    fastText     1-grams and 1-2-grams, with --vectors also starting from these; learning rate,
                 epochs and size selected on validation. Runs the command `fasttext` or, if there
                 is none, the Python package
    TF-IDF       1-2-grams, logarithm of the counts, with logistic regression and with a linear
                 SVM; tokens, minimum frequency and C selected on validation

Each training runs in its own process. Seconds are those of the whole process that trains with the
selected settings; the time to select them is shown separately. With several seeds, figures are
means, with ± the standard deviation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_peers import PEERS, Peer, Rows, has_fasttext, peer_named, write_vectors

FAMILIES = ("ours", *PEERS)
SPLITS = ("train", "validation", "test")
VECTORS = "vectors.vec"
VECTOR_MARK = " + vectors"  # after the name of a contender that starts from them
UNLABELED_MARK = " + unlabeled"
TEACHER_MARK = " + teacher"
FIRST_TEACHER = 1001  # seed


@dataclass
class Result:
    """What a contender reached on one corpus; lists have an entry for each seed."""

    data: str
    contender: str
    evaluated_on: str
    settings: dict[str, Any]
    tuning_seconds: float = 0.0
    accuracy: list[float] = field(default_factory=list)
    macro_f1: list[float] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    model_mb: list[float] = field(default_factory=list)


def main() -> None:
    """Run the benchmark or, with --worker, one of its processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="*", metavar="DATA", help="as for `textlstm train`")
    parser.add_argument("--presets", nargs="+", default=["default"], help="presets of ours")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--vectors", type=Path, help="word vectors for textlstm and fastText")
    parser.add_argument("--teachers", type=int, default=0, help="models that teach a student")
    parser.add_argument("--unlabeled", nargs="+", default=[], help="texts without labels")
    parser.add_argument("--cut", type=int, default=0, help="rows of train to learn from")
    parser.add_argument("--options", default="", help="more options of `textlstm train`, quoted")
    parser.add_argument("--pretrain-options", default="", help="options of `textlstm pretrain`")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        action, *words = arguments.worker
        WORKERS[action](*words)
        return
    if not arguments.data:
        parser.error("no data: name what to measure on, for example sample")
    if "fasttext" in arguments.only and not has_fasttext():
        print(
            "left out: fastText (neither the command nor the package is installed)", file=sys.stderr
        )
        arguments.only = [name for name in arguments.only if name != "fasttext"]
    results: list[Result] = []
    try:
        for result in measure_all(arguments):
            results.append(result)
            print(f"{result.data}: {line(result)}", file=sys.stderr)
            if arguments.json:
                report = {"threads": arguments.threads, "results": list(map(asdict, results))}
                arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    except KeyboardInterrupt:
        print("interrupted; the table shows what is done", file=sys.stderr)
    finally:
        print(table(results))


def measure_all(arguments: argparse.Namespace) -> Iterator[Result]:
    """Measure on one corpus after the other."""
    for data in arguments.data:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield from measure(data, Path(folder), arguments)


def measure(data: str, folder: Path, arguments: argparse.Namespace) -> Iterator[Result]:
    """Train and evaluate each contender on a corpus."""
    # in a process of its own: the memory of this one would count for its children
    run(worker("prepare", data, folder, arguments.vectors or "", arguments.cut), arguments.threads)
    evaluated_on = "test" if (folder / "test.jsonl").exists() else "validation"
    if "ours" in arguments.only:
        for preset in arguments.presets:
            marks = ["", UNLABELED_MARK if arguments.unlabeled else ""]
            marks.append(TEACHER_MARK if arguments.teachers else "")
            for mark in dict.fromkeys(marks):
                yield from measure_ours(data, folder, preset, evaluated_on, arguments, mark)
    for family in PEERS:
        for name in PEERS[family] if family in arguments.only else ():
            seeds = arguments.seeds if family == "fasttext" else arguments.seeds[:1]  # not random
            for more in ("", VECTOR_MARK) if arguments.vectors and family == "fasttext" else ("",):
                yield measure_peer(
                    data, folder, name + more, evaluated_on, seeds, arguments.threads
                )


def measure_ours(
    data: str,
    folder: Path,
    preset: str,
    evaluated_on: str,
    arguments: argparse.Namespace,
    mark: str,
) -> Iterator[Result]:
    """Train with a preset and each seed; after a pretraining or the teachers, as the mark says."""
    options = [] if preset == "default" else ["--preset", preset]
    vectors = ["--vectors", str(arguments.vectors)] if arguments.vectors else []
    options += vectors if mark != UNLABELED_MARK else []
    options += shlex.split(arguments.options)
    name = f"textlstm {preset}" + (VECTOR_MARK if arguments.vectors else "") + mark
    result = Result(data, name, evaluated_on, {"options": shlex.join(options)})

    def train(model: Path, seed: int, more: Sequence[str]) -> tuple[float, float]:
        command = [sys.executable, "-m", "textlstm", "train", str(folder), *options, *more]
        command += ["--out", str(model), "--seed", str(seed), "--threads", str(arguments.threads)]
        return run(command, arguments.threads)

    more: list[str] = []
    base, teachers = folder / "base", []
    if mark == UNLABELED_MARK:
        command = [sys.executable, "-m", "textlstm", "pretrain", str(folder / "train.jsonl")]
        command += [*arguments.unlabeled, *vectors, "--out", str(base)]
        command += ["--threads", str(arguments.threads), *shlex.split(arguments.pretrain_options)]
        result.tuning_seconds, _ = run(command, arguments.threads)
        more = ["--init-from", str(base)]
    if mark == TEACHER_MARK:
        teachers = [folder / f"teacher-{number}" for number in range(arguments.teachers)]
        costs = [train(model, seed, []) for seed, model in enumerate(teachers, FIRST_TEACHER)]
        result.tuning_seconds = sum(seconds for seconds, _ in costs)
        together = f"{name.removesuffix(TEACHER_MARK)}, mean of {len(teachers)}"
        yield measure_together(Result(data, together, evaluated_on, {}), folder, teachers, costs)
        more = ["--teacher", *map(str, teachers)]
        more += ["--unlabeled", *arguments.unlabeled] if arguments.unlabeled else []
    for seed in arguments.seeds:
        model = folder / "ours"
        seconds, peak = train(model, seed, more)
        metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))[evaluated_on]
        note(result, metrics, seconds, peak, model)
    for made in (base, *teachers):
        shutil.rmtree(made, ignore_errors=True)
    yield result


def measure_together(
    result: Result, folder: Path, models: Sequence[Path], costs: Sequence[tuple[float, float]]
) -> Result:
    """Evaluate the mean of the probabilities of several models, and each of them alone."""
    figures, copies = folder / "figures.json", folder / "together"
    run(worker("together", folder, result.evaluated_on, figures, *models), None)
    together, *alone = json.loads(figures.read_text())
    result.settings["alone"] = spread([metrics["accuracy"] for metrics in alone])
    for model in models:
        shutil.copytree(model, copies / model.name)
    seconds, peaks = zip(*costs, strict=True)
    note(result, together, sum(seconds), max(peaks), copies)
    return result


def measure_peer(
    data: str, folder: Path, name: str, evaluated_on: str, seeds: Sequence[int], threads: int
) -> Result:
    """Choose a peer's settings on validation, then train it with each seed."""
    figures, model = folder / "figures.json", folder / "peer"
    seconds, _ = run(worker("tune", name, folder, figures, threads), threads)
    settings = json.loads(figures.read_text())
    result = Result(data, name, evaluated_on, settings, tuning_seconds=seconds)
    for seed in seeds:
        chosen = json.dumps(settings | {"seed": seed})
        seconds, peak = run(worker("fit", name, folder, model, chosen, threads), threads)
        run(worker("evaluate", name, folder, model, evaluated_on, figures), threads)
        note(result, json.loads(figures.read_text()), seconds, peak, model)
    return result


def note(result: Result, metrics: dict[str, Any], seconds: float, peak: float, model: Path) -> None:
    """Add what one training brought; remove its model."""
    files = [path for path in model.rglob("*") if path.is_file()]
    result.accuracy.append(metrics["accuracy"])
    result.macro_f1.append(metrics["macro_f1"])
    result.train_seconds.append(seconds)
    result.peak_mb.append(peak)
    result.model_mb.append(sum(path.stat().st_size for path in files) / 1e6)
    shutil.rmtree(model)


def worker(action: str, *words: object) -> list[str]:
    """Return the command of a process that is in this file."""
    return [sys.executable, __file__, "--worker", action, *map(str, words)]


def run(command: list[str], threads: int | None) -> tuple[float, float]:
    """Run a command, by default with all threads; return its seconds and its peak memory in MB."""
    count = str(threads or os.cpu_count() or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        last = (said.strip().splitlines() or [""])[-1]
        sys.exit(f"{shlex.join(command)} failed: {last}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6


def prepare(data: str, folder: str, vectors: str, cut: str = "0") -> None:
    """Write the splits as every contender reads them; textlstm's own reading makes them."""
    from textlstm import load_corpus

    corpus = load_corpus(data)
    if corpus.train.labels.ndim == 2:
        sys.exit(f"{data} has several labels a text: the peers take one")
    if vectors:
        write_vectors(Path(vectors), Path(folder) / VECTORS)
    for name in SPLITS:
        split = getattr(corpus, name)
        if split is None:
            continue
        texts = itertools.chain.from_iterable(split.texts())
        with (Path(folder) / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for text, label in zip(texts, split.labels.tolist(), strict=True):
                row = {"text": text, "label": corpus.labels[label]}
                file.write(json.dumps(row) + "\n")
    if int(cut):
        files = {name: Path(folder) / f"{name}.jsonl" for name in SPLITS}
        rows = files["train"].read_text(encoding="utf-8").splitlines(keepends=True)
        rows = random.Random(1).sample(rows, int(cut))
        held = len(rows) // 10
        files["validation"].replace(files["test"])
        files["validation"].write_text("".join(rows[:held]), encoding="utf-8")
        files["train"].write_text("".join(rows[held:]), encoding="utf-8")


def read(folder: str | Path, split: str) -> Rows:
    """Return the texts and labels of a split."""
    with (Path(folder) / f"{split}.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(row) for row in file]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def peer(name: str, folder: str, threads: str) -> Peer:
    """Return a contender by its row of the table."""
    vectors = Path(folder) / VECTORS if name.endswith(VECTOR_MARK) else None
    return peer_named(name, int(threads), vectors)


def tune(name: str, folder: str, out: str, threads: str) -> None:
    """Write the settings of a peer with the best accuracy on validation."""
    settings = peer(name, folder, threads).tune(read(folder, "train"), read(folder, "validation"))
    Path(out).write_text(json.dumps(settings))


def fit(name: str, folder: str, model: str, chosen: str, threads: str) -> None:
    """Train a peer and save it."""
    Path(model).mkdir()
    peer(name, folder, threads).fit(read(folder, "train"), Path(model), json.loads(chosen))


def evaluate(name: str, folder: str, model: str, split: str, out: str) -> None:
    """Write a trained peer's figures on a split."""
    texts, labels = read(folder, split)
    Path(out).write_text(json.dumps(compare(labels, peer_named(name).predict(Path(model), texts))))


def compare(labels: Sequence[str], found: Sequence[str]) -> dict[str, float]:
    """Return the figures of labels that were found for texts whose true labels are known."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(labels, found)),
        "macro_f1": float(f1_score(labels, found, average="macro", zero_division=0)),
    }


def together(folder: str, split: str, out: str, *models: str) -> None:
    """Write the figures of the mean of several models' probabilities, then those of each."""
    from textlstm import TextClassifier

    texts, labels = read(folder, split)
    classifiers = [TextClassifier.load(model) for model in models]
    each = [classifier.predict_proba(texts) for classifier in classifiers]  # [N, C]
    names = classifiers[0].labels
    answers = [found.argmax(axis=1) for found in (np.mean(each, axis=0), *each)]
    figures = [compare(labels, [names[label] for label in found]) for found in answers]
    Path(out).write_text(json.dumps(figures))


WORKERS: dict[str, Any] = {
    "prepare": prepare,
    "tune": tune,
    "fit": fit,
    "evaluate": evaluate,
    "together": together,
}


def line(result: Result) -> str:
    """Return a contender's row of the table."""
    chosen = ", ".join(f"{key} {value}" for key, value in shown(result).items())
    seconds = f"{statistics.mean(result.train_seconds):,.0f}"
    return (
        f"{result.contender:28}{spread(result.accuracy):>14}{spread(result.macro_f1):>14}"
        f"{seconds:>9}{result.tuning_seconds:>9,.0f}{max(result.peak_mb):>9,.0f}"
        f"{statistics.mean(result.model_mb):>9,.1f}  {chosen}"
    )


def shown(result: Result) -> dict[str, Any]:
    """Return the settings worth a place in the table."""
    hidden = ("seed", "validation_accuracy")
    return {key: value for key, value in result.settings.items() if key not in hidden and value}


def spread(values: list[float]) -> str:
    """Return a mean in percent, with the standard deviation if there are several values."""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean + (f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else "")


def table(results: Sequence[Result]) -> str:
    """Return the figures as a table."""
    lines = []
    for data, group in itertools.groupby(results, key=lambda result: result.data):
        found = list(group)
        on = found[0].evaluated_on
        warning = (
            " (no test split: selected and evaluated on the same rows)" if on != "test" else ""
        )
        lines.append(f"\n{data}, evaluated on {on}{warning}")
        lines.append(
            f"{'':28}{'accuracy, %':>14}{'macro F1, %':>14}{'train s':>9}{'tuning s':>9}"
            f"{'peak MB':>9}{'model MB':>9}  chosen"
        )
        lines.extend(map(line, found))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
