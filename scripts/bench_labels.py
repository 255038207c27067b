"""Train with few to very many labels: accuracy, time, memory and size of the model.

    python scripts/bench_labels.py TEXTS [--labels 2 20 150 1000 10000] [--rows 125000]
        [--only ours fasttext logistic] [--options OPTIONS] [--threads 1] [--json FILE]

TEXTS is a file with a column `text`, such as reviews. Its sentences become the rows. Their labels
are made up by a rule: the words that are neither frequent nor rare are dealt out to the labels, and
a sentence has the label of the rarest of these words in it. So every word says something, none is
sure, and there can be as many labels as words. Of the rows 8 of 10 are for training, one each for
validation and test, and a label has as few rows as the numbers say (10 of 10,000 labels).

Settings are fixed: textlstm has its defaults; fastText those that its tutorial ends with for many
labels (1-2-grams, rate 1, 25 epochs; hierarchical softmax over 1,000 labels), size 100; TF-IDF with
logistic regression, up to 150 labels only, C = 10. Each training is a process of its own.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy_peers import has_fasttext
from bench_accuracy import SPLITS, Result, line, measure_ours, note, run, table, worker

FREQUENT = 300  # words that say nothing of the label
WORDS = 2000  # that do, at least
LENGTHS = (6, 20)  # of a sentence, in words
MOST_OF_LOGISTIC = 150  # labels; it learns each against the others, with all words
MOST_OF_SOFTMAX = 1000  # labels; of 10,000 fastText's would take hours
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fasttext": ("fastText 1-2-grams", {"rate": 1.0, "epochs": 25, "size": 100, "seed": 1}),
    "logistic": ("TF-IDF + logistic", {"tokens": "all words", "least": 2, "C": 10.0}),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", metavar="TEXTS", help="a file with a column text")
    parser.add_argument("--labels", nargs="+", type=int, default=[2, 20, 150, 1000, 10_000])
    parser.add_argument("--rows", type=int, default=125_000, help="rows of all splits, at most")
    parser.add_argument("--only", nargs="+", choices=("ours", *PEERS), default=["ours", *PEERS])
    parser.add_argument("--options", default="", help="more options of `textlstm train`, quoted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    if "fasttext" in arguments.only and not has_fasttext():
        print("fastText is not installed: left out", file=sys.stderr)
        arguments.only.remove("fasttext")
    arguments.vectors, arguments.seeds = None, [1]
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for count in arguments.labels:
            # in a process of its own: the memory of this one would count for its children
            make = [sys.executable, __file__, "--make", arguments.texts, folder]
            run([*make, str(count), str(arguments.rows)], arguments.threads)
            for result in measure(f"{count:,} labels", count, Path(folder), arguments):
                results.append(result)
                print(f"{result.data}: {line(result)}", file=sys.stderr)
                if arguments.json:
                    report = {"threads": arguments.threads, "results": list(map(asdict, results))}
                    arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(table(results))


def measure(data: str, count: int, folder: Path, arguments: argparse.Namespace) -> Iterator[Result]:
    """Train and evaluate each contender on the rows in a folder."""
    if "ours" in arguments.only:
        yield from measure_ours(data, folder, "default", "test", arguments, "")
    for family in arguments.only:
        if family == "ours" or (family == "logistic" and count > MOST_OF_LOGISTIC):
            continue
        name, settings = PEERS[family]
        if family == "fasttext" and count > MOST_OF_SOFTMAX:
            settings = {**settings, "loss": "hs"}
        result = Result(data, name, "test", settings)
        figures, model = folder / "figures.json", folder / "peer"
        command = worker("fit", name, folder, model, json.dumps(settings), arguments.threads)
        seconds, peak = run(command, arguments.threads)
        run(worker("evaluate", name, folder, model, "test", figures), arguments.threads)
        note(result, json.loads(figures.read_text()), seconds, peak, model)
        yield result


def make_rows(texts: str, folder: str, labels: str, rows: str) -> None:
    """Write train, validation and test with made-up labels into a folder."""
    found = topics(list(sentences(texts, 2 * int(rows))), int(labels))[: int(rows)]
    tenth = len(found) // 10
    parts = (found[2 * tenth :], found[:tenth], found[tenth : 2 * tenth])
    known = {label for _, label in parts[0]}
    for name, part in zip(SPLITS, parts, strict=True):
        with (Path(folder) / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for text, label in part:
                if label in known:
                    file.write(json.dumps({"text": text, "label": label}) + "\n")


def sentences(path: str, most: int) -> Iterator[list[str]]:
    """Yield the words of sentences, at most so many."""
    import datasets

    kind = Path(path).suffix.removeprefix(".").replace("jsonl", "json")
    rows = datasets.load_dataset(kind, data_files=path, split="train", streaming=True)
    split = (part for row in rows for part in re.split(r"[.!?]+|<br />", row["text"].lower()))
    words = (re.findall(r"\w+", part) for part in split)
    least, longest = LENGTHS
    yield from itertools.islice((each for each in words if least <= len(each) <= longest), most)


def topics(found: list[list[str]], labels: int) -> list[tuple[str, str]]:
    """Return sentences with their labels, in random order that is always the same."""
    counts = collections.Counter(word for words in found for word in set(words))
    ranked = [word for word, _ in counts.most_common(FREQUENT + max(labels, WORDS))][FREQUENT:]
    rank = {word: place for place, word in enumerate(ranked)}
    order = random.Random(1)
    owners = [place % labels for place in range(len(ranked))]
    order.shuffle(owners)
    rows = []
    for words in found:
        known = [rank[word] for word in words if word in rank]
        if known:
            rows.append((" ".join(words), f"topic {owners[max(known)]:05}"))
    order.shuffle(rows)
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_rows(*sys.argv[2:])
    else:
        main()
