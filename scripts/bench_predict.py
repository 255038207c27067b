"""Measure classification, whole commands from file to file, against what else is used for it.

    python scripts/bench_predict.py [--reviews FILE ...] [--rounds 3] [--json FILE]

Two files are classified: reviews (a few hundred words each) and short rows (a sentence each).
Every contender is a command in a process of its own; all take turns, round after round. Figures
are medians over the rounds and hold everything: start, model, reading, computing, writing.

    ours          textlstm predict
    ours bf16     the same with --precision bf16
    ours int8     the same with --engine onnx --precision int8; needs textlstm[onnx]
    packed        a loop over the rows in their order: nn.LSTM over packed sequences, same weights
    fasttext      `fasttext predict-prob`, or the package fasttext where there is no such command
    tfidf         scikit-learn's TfidfVectorizer and LogisticRegression, in batches

The reviews are those of --reviews (csv, json lines or parquet files with the columns text and
label), repeated to as many as are asked for, or drawn from a Zipf distribution of words with
lengths as of film reviews. Short rows are sentences cut out of them. The network has the default
sizes, final pooling and no n-grams, and is not trained, unless --model names one: its speed is
the same.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

CONTENDERS = ("ours", "ours bf16", "ours int8", "packed", "fasttext", "tfidf")
TRAINED_ROWS = 20_000  # what fasttext and tfidf are trained on
BATCH = 64
STAGE_ROWS = {"reviews": 4096, "short": 65_536}  # on which the share of each stage is measured


def main() -> None:
    """Run the benchmark, or be one of its contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", nargs="+", type=Path, help="files with text and label")
    parser.add_argument("--model", type=Path, help="a model folder instead of an untrained one")
    parser.add_argument("--review-rows", type=int, default=25_000)
    parser.add_argument("--short-rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--threads", type=int, help="CPU threads of every contender")
    parser.add_argument("--fasttext", default="fasttext", help="the command fasttext")
    parser.add_argument("--work", type=Path, help="folder to work in; else a temporary one")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, *paths = arguments.worker
        WORKERS[name](*map(Path, paths))
        return
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(arguments, arguments.work or Path(temporary))
    print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Prepare the files, let all contenders take turns, and measure the stages."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {"reviews": arguments.review_rows, "short": arguments.short_rows}
    # in a process of its own: memory of this one would count for those that it starts
    preparing = multiprocessing.get_context("spawn").Process(
        target=prepare, args=(arguments, folder, rows)
    )
    preparing.start()
    preparing.join()
    if preparing.exitcode:
        sys.exit("the files could not be prepared")
    model = arguments.model or folder / "model"
    commands = make_commands(arguments, folder, model)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for turn in range(arguments.rounds):
        for kind, (name, command) in itertools.product(rows, commands.items()):
            out = folder / f"{kind}-{name.replace(' ', '-')}.out"
            result = run(command(folder / f"{kind}.csv", out), arguments.threads)
            found.setdefault(kind, {}).setdefault(name, []).append(result)
            print(f"round {turn + 1}: {kind}, {name}: {result['seconds']:.1f} s", file=sys.stderr)
    report: dict[str, Any] = {"rows": rows, "contenders": [], "stages": {}}
    for kind, by_name in found.items():
        for name, results in by_name.items():
            seconds = statistics.median(result["seconds"] for result in results)
            report["contenders"].append(
                {
                    "input": kind,
                    "contender": name,
                    "seconds": seconds,
                    "rows_per_second": rows[kind] / seconds,
                    "peak_mb": max(result["peak_mb"] for result in results),
                }
            )
        figures = folder / f"{kind}-stages.json"
        run(worker("stages", model, folder / f"{kind}.csv", figures), arguments.threads)
        report["stages"][kind] = json.loads(figures.read_text())
    return report


def prepare(arguments: argparse.Namespace, folder: Path, rows: dict[str, int]) -> None:
    """Write the inputs, and train what is to be trained."""
    texts, labels = load_reviews(arguments.reviews)
    write_inputs(folder, texts, rows)
    if not arguments.model:
        make_model(folder / "model", texts)
    pairs = list(zip(texts, labels, strict=True))
    random.Random(0).shuffle(pairs)
    pairs = pairs[:TRAINED_ROWS]
    if "fasttext" in arguments.only:
        train_fasttext(folder, pairs, shutil.which(arguments.fasttext))
    if "tfidf" in arguments.only:
        train_tfidf(folder / "tfidf.joblib", pairs)


def load_reviews(files: list[Path] | None) -> tuple[list[str], list[str]]:
    """Give texts and labels, from files or made up."""
    if files:
        from textlstm.rows import read_rows

        pairs = [
            (str(row.values["text"]), str(row.values["label"]))
            for file in files
            for row in read_rows(file)
        ]
        return [text for text, _ in pairs], [label for _, label in pairs]
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


def write_inputs(folder: Path, texts: list[str], rows: dict[str, int]) -> None:
    """Write the two files to classify."""
    sentences = [part for text in texts for part in re.split(r"(?<=[.!?])\s+|<br />", text)]
    sentences = [part.strip() for part in sentences if 2 <= len(part.split()) <= 30]
    for kind, source in (("reviews", texts), ("short", sentences)):
        with (folder / f"{kind}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows(enumerate(itertools.islice(itertools.cycle(source), rows[kind])))


def make_model(folder: Path, texts: list[str]) -> None:
    """Save a network of the default shape with the vocabulary of the texts."""
    from textlstm import BiLSTMClassifier, TextClassifier, TextTokenizer, TrainSettings
    from textlstm.runtime import seed_everything

    # what the packed loop can do as well
    settings = TrainSettings.from_options(pooling="final", ngrams=0)
    tokenizer = TextTokenizer.train(lambda: [texts], settings.tokenizer)
    seed_everything(1)
    network = BiLSTMClassifier(settings.model, vocab_size=len(tokenizer.vocabulary), num_classes=2)
    TextClassifier(network, tokenizer, ("0", "1"), settings, device="cpu").save(folder)


Command = Callable[[Path, Path], list[str]]


def make_commands(arguments: argparse.Namespace, folder: Path, model: Path) -> dict[str, Command]:
    """Give each contender's command for an input and an output."""
    predict = [sys.executable, "-m", "textlstm", "predict", str(model)]

    def ours(*options: str) -> Command:
        more = [*options, *(["--threads", str(arguments.threads)] if arguments.threads else [])]
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
        "ours": ours(),
        "ours bf16": ours("--precision", "bf16"),
        "ours int8": ours("--engine", "onnx", "--precision", "int8"),
        "packed": lambda source, out: worker("packed", model, source, out),
    }
    if trained.exists():
        commands["fasttext"] = (
            by_binary if binary else lambda source, out: worker("fasttext", trained, source, out)
        )
    if linear.exists():
        commands["tfidf"] = lambda source, out: worker("tfidf", linear, source, out)
    return {name: command for name, command in commands.items() if name in arguments.only}


def worker(name: str, *paths: Path) -> list[str]:
    """Give the command of a contender that is in this file."""
    return [sys.executable, __file__, "--worker", name, *map(str, paths)]


def run(command: list[str], threads: int | None) -> dict[str, float]:
    """Run a command; give its seconds and its peak of memory."""
    environment = dict(os.environ)
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"{' '.join(command)} failed: {said[-2000:]}")
    return {"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}


def batches(source: Path) -> Iterator[list[dict[str, str]]]:
    """Read a csv in batches."""
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        while batch := list(itertools.islice(reader, BATCH)):
            yield batch


def write(out: Path, judged: Iterable[tuple[dict[str, str], str, float]]) -> None:
    """Write rows with their labels and scores."""
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "score"])
        for row, label, score in judged:
            writer.writerow([*row.values(), label, score])


def packed(model: Path, source: Path, out: Path) -> None:
    """Classify as most people write it: batches in the order of the file, packed."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

    from textlstm import TextClassifier

    classifier = TextClassifier.load(model, device="cpu")
    weights = classifier.model.state_dict()
    shape = classifier.settings.model
    if shape.pooling != "final" or shape.ngrams:
        sys.exit(
            "the packed loop reads final states only: train the model with "
            "--pooling final --ngrams 0"
        )
    lstm = nn.LSTM(
        *(shape.embedding_size, shape.hidden_size, shape.num_layers),
        batch_first=True,
        bidirectional=shape.bidirectional,
    )
    lstm.load_state_dict(
        {name[5:]: value for name, value in weights.items() if name.startswith("lstm.")}
    )
    lstm.eval()

    def judged() -> Iterator[tuple[dict[str, str], str, float]]:
        for batch in batches(source):
            ids = [torch.tensor(classifier.tokenizer.encode(row["text"])) for row in batch]
            lengths = torch.tensor([len(one) for one in ids])
            x = weights["embedding.weight"][pad_sequence(ids, batch_first=True)]  # [B, T, E]
            inputs = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, (h_n, _) = lstm(inputs)  # [L*D, B, H]
            last = 2 if shape.bidirectional else 1
            final = torch.cat(list(h_n[-last:]), dim=1)  # [B, D*H]
            logits = nn.functional.linear(final, weights["linear.weight"], weights["linear.bias"])
            scores, best = logits.softmax(1).max(1)
            for row, label, score in zip(batch, best.tolist(), scores.tolist(), strict=True):
                yield row, classifier.labels[label], score

    with torch.inference_mode():
        write(out, judged())


def train_fasttext(folder: Path, pairs: list[tuple[str, str]], binary: str | None) -> None:
    """Train fastText by its command, by its Python package, or not at all."""
    train, model = folder / "fasttext.txt", folder / "fasttext.bin"
    with train.open("w", encoding="utf-8") as file:
        file.writelines(f"__label__{label} {one_line(text)}" for text, label in pairs)
    if binary:
        stem = str(model.with_suffix(""))
        options = ["-input", str(train), "-output", stem, "-wordNgrams", "2", "-verbose", "0"]
        subprocess.run([binary, "supervised", *options], check=True, stdout=subprocess.DEVNULL)
        for kind in ("reviews", "short"):  # fastText reads plain lines
            with (folder / f"{kind}.lines").open("w", encoding="utf-8") as file:
                for batch in batches(folder / f"{kind}.csv"):
                    file.writelines(one_line(row["text"]) for row in batch)
        return
    try:
        import fasttext  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        print("left out: fasttext (neither the command nor the package is there)", file=sys.stderr)
        return
    fasttext.train_supervised(str(train), wordNgrams=2, verbose=0).save_model(str(model))


def one_line(text: str) -> str:
    """Give a text as a line."""
    return " ".join(text.split()) + "\n"


def predict_fasttext(model: Path, source: Path, out: Path) -> None:
    """Classify with the package fasttext."""
    import fasttext

    loaded = fasttext.load_model(str(model))

    def judged() -> Iterator[tuple[dict[str, str], str, float]]:
        for batch in batches(source):
            texts = [one_line(row["text"]) for row in batch]
            # not `predict`, which does not go with numpy 2
            labels, scores = loaded.f.multilinePredict(texts, 1, 0.0, "strict")
            for row, label, score in zip(batch, labels, scores, strict=True):
                yield row, label[0], score[0]

    write(out, judged())


def train_tfidf(path: Path, pairs: list[tuple[str, str]]) -> None:
    """Train a linear model on words and pairs of words."""
    import joblib  # type: ignore[import-untyped,unused-ignore]
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(max_iter=200),
    )
    pipeline.fit([text for text, _ in pairs], [label for _, label in pairs])
    joblib.dump(pipeline, path)


def predict_tfidf(model: Path, source: Path, out: Path) -> None:
    """Classify with the linear model, a thousand rows at a time."""
    import joblib

    pipeline = joblib.load(model)
    reader = itertools.chain.from_iterable(batches(source))

    def judged() -> Iterator[tuple[dict[str, str], str, float]]:
        while batch := list(itertools.islice(reader, 1000)):
            found = pipeline.predict_proba([row["text"] for row in batch])
            for row, scores in zip(batch, found, strict=True):
                yield row, pipeline.classes_[scores.argmax()], float(scores.max())

    write(out, judged())


def stages(model: Path, source: Path, out: Path) -> None:
    """Measure the stages of our command one after the other, so that none waits for another."""
    from textlstm import TextClassifier
    from textlstm.config import PredictionConfig
    from textlstm.engines import make_engine
    from textlstm.labelling import Labeller
    from textlstm.row_input import CHUNK_CHARACTERS, Place, chunks, find_input
    from textlstm.row_writers import CsvEncoder

    config = PredictionConfig()
    engine = make_engine(TextClassifier.load(model), config)
    labeller = Labeller(engine.labels, ("text",), config)
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
            found = timed("encode", labeller.read, chunk.rows)
            tokens = timed("encode", engine.encode, found.texts)
            probabilities = timed("judge", engine.judge, tokens)
            labelled = timed("write", labeller.label, found, probabilities)
            file.write(timed("write", encoder.encode, labelled))
            timed("write", os.fsync, file.fileno())
            done += len(chunk.rows)
    out.write_text(json.dumps({stage: value / done for stage, value in seconds.items()}))


WORKERS: dict[str, Callable[[Path, Path, Path], None]] = {
    "packed": packed,
    "fasttext": predict_fasttext,
    "tfidf": predict_tfidf,
    "stages": stages,
}


def table(report: dict[str, Any]) -> str:
    """Lay the figures out."""
    lines = []
    for kind, rows in report["rows"].items():
        found = [entry for entry in report["contenders"] if entry["input"] == kind]
        base = [entry["seconds"] for entry in found if entry["contender"] == "packed"]
        lines.append(f"\n{rows:,} {'reviews' if kind == 'reviews' else 'short rows'}")
        lines.append(f"{'':12}{'seconds':>10}{'rows/s':>12}{'peak MB':>10}{'x packed':>10}")
        for entry in found:
            times = f"{base[0] / entry['seconds']:.1f}" if base else "-"
            lines.append(
                f"{entry['contender']:12}{entry['seconds']:>10.1f}"
                f"{entry['rows_per_second']:>12,.0f}{entry['peak_mb']:>10,.0f}{times:>10}"
            )
        seconds = report["stages"][kind]
        total = sum(seconds.values())
        shares = ", ".join(f"{stage} {value / total:.0%}" for stage, value in seconds.items())
        lines.append(f"stages of ours: {shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
