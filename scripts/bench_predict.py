"""Compare the speed of classifying files, from start to output, with other tools.

    python scripts/bench_predict.py [--reviews FILE ...] [--rounds 3] [--json FILE]

The reviews must not be those that --model learned from: of such the n-grams are too certain, and
a cascade skips more. `differ` counts the rows whose label is not that of `ours`, over the whole
input. Files without the column label will do; the peers then learn made-up labels.

Two files are classified: reviews (a few hundred words each) and short rows (a sentence each).
Every contender is a command in its own process; all take turns, round after round. Figures are
medians over the rounds and include everything: start, loading, reading, computing, writing.

    ours          textlstm predict
    ours bf16     the same with --precision bf16
    ours int8     the same with --engine onnx --precision int8; needs textlstm[onnx]
    cascade       `ours` with --cascade SHARE (default: 0.001); needs a --model that has one for it
    cascade bf16  `ours bf16` with it
    packed        a loop over the rows in their order: nn.LSTM over packed sequences, same weights;
                  with --packed-rows only the first rows are run, the time beyond that of one
                  batch is scaled up to all rows, and the figures are marked with *
    fasttext      `fasttext predict-prob`, or the package fasttext if there is no such command
    tfidf         scikit-learn's TfidfVectorizer and LogisticRegression, in batches

The reviews are those of --reviews (csv, json lines or parquet files with the columns text and
label), repeated up to --review-rows, or random words with the lengths of film reviews. Short rows
are those of --short, or sentences of the reviews. The network has the default shape and is
untrained unless --model names one: the speed is the same.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_accuracy import run
from predict_peers import (
    BATCH,
    packed,
    predict_fasttext,
    predict_tfidf,
    train_fasttext,
    train_tfidf,
)

OURS: dict[str, dict[str, str]] = {
    "ours": {},
    "ours bf16": {"precision": "bf16"},
    "ours int8": {"engine": "onnx", "precision": "int8"},
    "cascade": {},
    "cascade bf16": {"precision": "bf16"},
}
CONTENDERS = (*OURS, "packed", "fasttext", "tfidf")
TRAINED_ROWS = 20_000  # that fasttext and tfidf are trained on
Command = Callable[[Path, Path], list[str]]
STAGE_ROWS = {"reviews": 4096, "short": 65_536}  # to measure the share of each stage on


def main() -> None:
    """Run the benchmark or, with --worker, one of its contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", nargs="+", type=Path, help="files with text and label")
    parser.add_argument("--model", type=Path, help="a model folder (default: an untrained network)")
    parser.add_argument("--short", nargs="+", type=Path, help="files with text and label")
    parser.add_argument("--inputs", nargs="+", choices=list(STAGE_ROWS), default=list(STAGE_ROWS))
    parser.add_argument("--review-rows", type=int, default=25_000)
    parser.add_argument("--short-rows", type=int, default=1_000_000)
    parser.add_argument("--packed-rows", type=int, help="maximum number of rows for packed")
    parser.add_argument("--cascade", metavar="SHARE", default="0.001", help="for `cascade`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--threads", type=int, help="CPU threads of every contender")
    parser.add_argument("--fasttext", default="fasttext", help="the command fasttext")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder to work in, whose files are reused if the options "
        "are the same (default: a temporary folder)",
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--options", type=json.loads, default={}, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, *paths = arguments.worker
        WORKERS[name](*map(Path, paths), **arguments.options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(arguments, arguments.work or Path(temporary))
    print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Prepare the files, run all contenders in turn and measure the stages."""
    folder.mkdir(parents=True, exist_ok=True)
    # in a process of its own: the memory of this one would count for its children
    preparing = multiprocessing.get_context("spawn").Process(
        target=prepare, args=(arguments, folder)
    )
    preparing.start()
    preparing.join()
    if preparing.exitcode:
        sys.exit("the files could not be prepared")
    model = arguments.model or folder / "model"
    commands = make_commands(arguments, folder, model)
    every = {"reviews": arguments.review_rows, "short": arguments.short_rows}
    rows = {kind: every[kind] for kind in arguments.inputs}
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for turn in range(arguments.rounds):
        for kind, (name, command) in itertools.product(rows, commands.items()):
            source = folder / f"{kind}.csv"
            out = folder / f"{kind}-{name.replace(' ', '-')}.out"
            part = arguments.packed_rows if name == "packed" else None
            if part and part < rows[kind]:
                result = run_part(command, source, out, part, rows[kind], arguments.threads)
            else:
                result = measured(command(source, out), arguments.threads)
            found.setdefault((kind, name), []).append(result)
            print(f"round {turn + 1}: {kind}, {name}: {result['seconds']:.1f} s", file=sys.stderr)
    report: dict[str, Any] = {"rows": rows, "contenders": [], "stages": {}}
    for (kind, name), results in found.items():
        seconds = statistics.median(result["seconds"] for result in results)
        report["contenders"].append(
            {
                "input": kind,
                "contender": name,
                "scaled": "part" in results[0],
                "seconds": seconds,
                "rows_per_second": rows[kind] / seconds,
                "peak_mb": max(result["peak_mb"] for result in results),
                "differ": count_differing(folder, kind, name),
            }
        )
    for kind, name in itertools.product(rows, [name for name in commands if name in OURS]):
        figures, source = folder / f"{kind}-stages.json", folder / f"{kind}.csv"
        options = json.dumps(our_options(arguments, name))
        stage = [*worker("stages", model, source, figures), "--options", options]
        run(stage, arguments.threads)
        first = commands[name](first_rows(source, 1), folder / "start.out")
        spent = {"start": run(first, arguments.threads)[0]}
        for one, per_row in json.loads(figures.read_text()).items():
            spent[one] = rows[kind] * per_row
        report["stages"].setdefault(kind, {})[name] = spent
    return report


def our_options(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the options of `predict` of one of our contenders."""
    cascade = {"cascade": float(arguments.cascade)} if name.startswith("cascade") else {}
    return {**OURS[name], **cascade}


def count_differing(folder: Path, kind: str, name: str) -> int | None:
    """Count the rows whose label is not that of the exact run; None where it was not run."""
    files = [folder / f"{kind}-{one.replace(' ', '-')}.out.csv" for one in ("ours", name)]
    if name == "ours" or name not in OURS or not all(file.exists() for file in files):
        return None
    exact, found = map(labels_in, files)
    return sum(one != other for one, other in zip(exact, found, strict=True))


def labels_in(file: Path) -> list[str]:
    """Return the labels of an output."""
    with file.open(newline="", encoding="utf-8") as rows:
        return [row["label"] for row in csv.DictReader(rows)]


def first_rows(source: Path, rows: int) -> Path:
    """Write the first rows of a file to a file of their own."""
    first = source.with_name(f"{source.stem}-first.csv")
    with (
        source.open(newline="", encoding="utf-8") as file,
        first.open("w", newline="", encoding="utf-8") as copy,
    ):
        csv.writer(copy).writerows(itertools.islice(csv.reader(file), rows + 1))
    return first


def run_part(
    command: Command, source: Path, out: Path, count: int, total: int, threads: int | None
) -> dict[str, float]:
    """Run a command on the first rows of a file; return the estimate for all rows."""
    seconds = []
    for rows in (BATCH, count):
        result = measured(command(first_rows(source, rows), out), threads)
        seconds.append(result["seconds"])
    rate = (seconds[1] - seconds[0]) / (count - BATCH)
    whole = seconds[0] + rate * (total - BATCH)
    return {"seconds": whole, "part": seconds[1], "peak_mb": result["peak_mb"]}


def prepare(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the inputs and train the peers, unless an earlier run did."""
    rows = {"reviews": arguments.review_rows, "short": arguments.short_rows}
    binary = shutil.which(arguments.fasttext)
    wanted = json.dumps([rows, binary, *map(str, (arguments.reviews, arguments.short))])
    stamp = folder / "prepared.json"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    texts, labels = read_texts(arguments.reviews) if arguments.reviews else made_up()
    short = read_texts(arguments.short)[0] if arguments.short else sentences(texts)
    for kind, source in (("reviews", texts), ("short", short)):
        with (folder / f"{kind}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows(enumerate(itertools.islice(itertools.cycle(source), rows[kind])))
    make_model(folder / "model", texts)
    pairs = list(zip(texts, labels, strict=True))
    random.Random(0).shuffle(pairs)
    pairs = pairs[:TRAINED_ROWS]
    train_fasttext(folder, pairs, binary)
    train_tfidf(folder / "tfidf.joblib", pairs)
    stamp.write_text(wanted)


def read_texts(files: list[Path]) -> tuple[list[str], list[str]]:
    """Return the texts and labels of files."""
    from textlstm.io.readers import read_rows

    found = [row.values for file in files for row in read_rows(file)]
    labels = [str(row.get("label", number % 2)) for number, row in enumerate(found)]
    return [str(row["text"]) for row in found], labels


def made_up() -> tuple[list[str], list[str]]:
    """Return random texts and labels."""
    chosen = random.Random(0)
    words = [f"word{number}" for number in range(40_000)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))
    texts = []
    for _ in range(5000):
        length = max(5, round(chosen.lognormvariate(5.2, 0.6)))
        drawn = chosen.choices(words, cum_weights=weights, k=length)
        marks = [word + (". " if chosen.random() < 0.05 else " ") for word in drawn]
        texts.append("".join(marks).strip())
    return texts, [str(number % 2) for number in range(len(texts))]


def sentences(texts: list[str]) -> list[str]:
    """Cut texts into sentences of 2 to 30 words."""
    parts = [part for text in texts for part in re.split(r"(?<=[.!?])\s+|<br />", text)]
    return [part.strip() for part in parts if 2 <= len(part.split()) <= 30]


def make_model(folder: Path, texts: list[str]) -> None:
    """Save a network of the default shape with the vocabulary of the texts."""
    from textlstm import BiLSTMClassifier, TextClassifier, TextTokenizer, TrainSettings
    from textlstm.nn.device import seed_everything

    settings = TrainSettings()
    tokenizer = TextTokenizer.train(lambda: [texts], settings.tokenizer)
    seed_everything(1)
    network = BiLSTMClassifier(settings.model, vocab_size=len(tokenizer.vocabulary), num_classes=2)
    TextClassifier(network, tokenizer, ("0", "1"), settings, device="cpu").save(folder)


def make_commands(arguments: argparse.Namespace, folder: Path, model: Path) -> dict[str, Command]:
    """Return each contender's command for an input and an output."""
    predict = [sys.executable, "-m", "textlstm", "predict", str(model)]

    def ours(name: str) -> Command:
        more = ["--threads", str(arguments.threads)] if arguments.threads else []
        for option, value in our_options(arguments, name).items():
            more += [f"--{option}", str(value)]
        return lambda source, out: [
            *(*predict, str(source), "--out", f"{out}.csv", "--overwrite", *more)
        ]

    def by_binary(source: Path, out: Path) -> list[str]:
        lines = source.with_suffix(".lines")
        predict = f'"{binary}" predict-prob "{trained}" "{lines}" > "{out}"'
        return ["sh", "-c", predict]

    binary, trained = shutil.which(arguments.fasttext), folder / "fasttext.bin"
    linear = folder / "tfidf.joblib"
    commands: dict[str, Command] = {
        **{name: ours(name) for name in OURS},
        "packed": lambda source, out: worker("packed", model, source, out),
    }
    if trained.exists():
        commands["fasttext"] = (
            by_binary if binary else lambda source, out: worker("fasttext", trained, source, out)
        )
    if linear.exists():
        commands["tfidf"] = lambda source, out: worker("tfidf", linear, source, out)
    cascade = json.loads((model / "config.json").read_text(encoding="utf-8")).get("cascade") or {}
    if cascade.get("certainty", {}).get(arguments.cascade) is None:
        print(f"left out: cascade (no {arguments.cascade} in the model)", file=sys.stderr)
        commands = {name: made for name, made in commands.items() if "cascade" not in name}
    return {name: command for name, command in commands.items() if name in arguments.only}


def worker(name: str, *paths: Path) -> list[str]:
    """Return the command of a contender that is in this file."""
    return [sys.executable, __file__, "--worker", name, *map(str, paths)]


def measured(command: list[str], threads: int | None) -> dict[str, float]:
    """Run a command; return its seconds and its peak memory in MB."""
    seconds, peak = run(command, threads)
    return {"seconds": seconds, "peak_mb": peak}


def stages(model: Path, source: Path, out: Path, **options: Any) -> None:
    """Measure the stages of our command one after the other, so that none waits for another."""
    from textlstm import TextClassifier
    from textlstm.classifier.labelling import Labeller
    from textlstm.config import PredictionConfig
    from textlstm.io.input import CHUNK_CHARACTERS, Place, chunks, find_input
    from textlstm.io.writers import CsvEncoder
    from textlstm.prediction.engines import make_engine

    config = PredictionConfig(**options)
    here = config.engine == "torch"
    classifier = TextClassifier.load(model, precision=config.precision if here else "fp32")
    engine = make_engine(classifier, config)
    labeller = Labeller(classifier.labels, ("text",), config)
    encoder = CsvEncoder("csv", ("id", "text", "label", "score", "error"))
    rows = find_input(source, config, "csv")
    items = chunks(rows, Place(), rows=config.chunk_rows, characters=CHUNK_CHARACTERS)
    seconds: dict[str, float] = {}

    def timed(stage: str, function: Callable[..., Any], *values: Any) -> Any:
        began = time.perf_counter()
        result = function(*values)
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began
        return result

    done = 0
    with out.with_suffix(".csv").open("wb") as file:
        while done < STAGE_ROWS[source.stem]:
            chunk = timed("read", next, items, None)
            if chunk is None:
                break
            texts = timed("encode", labeller.texts, chunk.rows)
            encoded = timed("encode", engine.encode, texts)
            predicted = timed("predict", engine.predict, encoded)
            labelled = timed("write", labeller.label, chunk.rows, *predicted)
            file.write(timed("write", encoder.encode, labelled))
            timed("write", os.fsync, file.fileno())
            done += len(chunk.rows)
    out.write_text(json.dumps({stage: value / done for stage, value in seconds.items()}))


WORKERS: dict[str, Callable[..., None]] = {
    "packed": packed,
    "fasttext": predict_fasttext,
    "tfidf": predict_tfidf,
    "stages": stages,
}


def table(report: dict[str, Any]) -> str:
    """Return the figures as a table."""
    lines = []
    for kind, rows in report["rows"].items():
        found = [entry for entry in report["contenders"] if entry["input"] == kind]
        base = [entry["seconds"] for entry in found if entry["contender"] == "packed"]
        lines.append(f"\n{rows:,} {'reviews' if kind == 'reviews' else 'short rows'}")
        lines.append(
            f"{'':13}{'seconds':>9}{'rows/s':>12}{'peak MB':>10}{'x packed':>10}{'differ':>9}"
        )
        for entry in found:
            times = f"{base[0] / entry['seconds']:.1f}" if base else "-"
            name = entry["contender"] + (" *" if entry["scaled"] else "")
            differ = "" if entry["differ"] is None else f"{entry['differ']:,}"
            line = f"{name:13}{entry['seconds']:>9.1f}{entry['rows_per_second']:>12,.0f}"
            lines.append(f"{line}{entry['peak_mb']:>10,.0f}{times:>10}{differ:>9}".rstrip())
        for name, seconds in report["stages"].get(kind, {}).items():
            total = sum(seconds.values())
            shares = ", ".join(f"{stage} {value / total:.0%}" for stage, value in seconds.items())
            lines.append(f"stages of {name}: {shares}")
        if any(entry["scaled"] for entry in found):
            lines.append("* measured on the first rows and multiplied up to all")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
