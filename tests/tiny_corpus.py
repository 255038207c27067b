"""Texts small enough to train on in a second, and the options for it."""

import csv
import json
import random

FILLERS = ["the", "a", "film", "plot", "was", "is", "it", "and", "of", "scene", "music", "very"]
LABELS = ("bad", "good")
OPTIONS = {
    "embedding_size": 4,
    "hidden_size": 4,
    "num_layers": 1,
    "epochs": 3,
    "batch_size": 8,
    "adversarial": 0.0,
    "min_frequency": 1,
    "threads": 1,
    "report": False,  # takes longer than such a training
}


def flags(**options):
    """The command line's form of `OPTIONS`, with other values for some."""
    words = []
    for name, value in {**OPTIONS, **options}.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{flag}")
        else:
            words += ["--" + flag, str(value)]
    return words


def rows(n, seed=0):
    """(text, label): a few filler words, and among them one that decides the label."""
    chosen = random.Random(seed)
    made = []
    for number in range(n):
        label = LABELS[number % 2]
        words = chosen.choices(FILLERS, k=chosen.randint(2, 12))
        words.insert(chosen.randrange(len(words)), {"bad": "dull", "good": "bright"}[label])
        made.append((" ".join(words), label))
    return made


def write_csv(path, n, seed=0):
    """A csv with the columns text and label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows(n, seed))
    return path


def write_splits(folder, train=48, validation=16, test=16):
    """A folder with a csv for each split."""
    folder.mkdir(exist_ok=True)
    for seed, (name, n) in enumerate(
        {"train": train, "validation": validation, "test": test}.items()
    ):
        write_csv(folder / f"{name}.csv", n, seed)
    return folder


def tagged_rows(n, seed=0):
    """(text, labels): words that each stand for a label, among fillers; some texts have none."""
    chosen = random.Random(seed)
    made = []
    for _ in range(n):
        labels = [label for label in ("fast", "kind", "loud") if chosen.random() < 0.4]
        words = chosen.choices(FILLERS, k=chosen.randint(2, 8)) + labels
        chosen.shuffle(words)
        made.append((" ".join(words), labels))
    return made


def write_tagged(folder, train=120, validation=40, test=40):
    """A folder with json lines for each split, whose labels are lists."""
    folder.mkdir(exist_ok=True)
    for seed, (name, n) in enumerate(
        {"train": train, "validation": validation, "test": test}.items()
    ):
        lines = [
            json.dumps({"text": text, "label": labels}) for text, labels in tagged_rows(n, seed)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder
