"""fastText and TF-IDF with linear models, as `bench_accuracy.py` tunes and trains them.

The settings of each peer are selected by accuracy on validation; ties go to the first tried.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Protocol

Rows = tuple[list[str], list[str]]  # texts, labels

RATES = (0.1, 0.25, 0.5, 1.0)
EPOCHS = (3, 5, 10, 20, 40)
SIZES = (10, 100)  # Joulin et al. 2017 take 10, the program's default is 100
MOST_NUMBERS = (
    20_000_000  # in fastText's table of 2-grams: its default of 2 million rows at size 10
)
FIRST = {"rate": 0.5, "epochs": 10, "size": 10}  # where the choice of fastText's settings begins
STRENGTHS = {
    "logistic": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    "svm": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
}
TOKENS = {
    "long words": r"(?u)\b\w\w+\b",  # of two letters or more: scikit-learn's default
    "all words": r"(?u)\w+",
    "words and marks": r"(?u)\w+|[^\w\s]",
}
LEAST_TEXTS = (1, 2)  # that have an n-gram


class Peer(Protocol):
    """A model that textlstm is compared with."""

    def tune(self, train: Rows, validation: Rows) -> dict[str, Any]:
        """Return the best settings found."""

    def fit(self, train: Rows, model: Path, settings: dict[str, Any]) -> None:
        """Train with `settings` and save into the folder `model`."""

    def predict(self, model: Path, texts: list[str]) -> list[str]:
        """Return the labels that the model in the folder finds."""


PEERS = {
    "fasttext": ("fastText 1-grams", "fastText 1-2-grams"),
    "logistic": ("TF-IDF + logistic",),
    "svm": ("TF-IDF + SVM",),
}


def peer_named(name: str, threads: int = 1, vectors: Path | None = None) -> Peer:
    """Return the peer of a row of the table; fastText may begin with a `.vec` file of vectors."""
    if name.startswith("fastText"):
        return FastText(2 if "1-2" in name else 1, threads, vectors)
    return Tfidf("svm" if "SVM" in name else "logistic")


def has_fasttext() -> bool:
    """Whether fastText is installed, as a command or a package."""
    return bool(shutil.which("fasttext") or importlib.util.find_spec("fasttext"))


class Tfidf:
    """TF-IDF of 1-2-grams, logarithm of the counts, under a linear model.

    Args:
        kind: 'logistic' or 'svm'.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def tune(self, train: Rows, validation: Rows) -> dict[str, Any]:
        """Choose tokens, least frequency and C together."""
        best: tuple[float, dict[str, Any]] = (-1.0, {})
        for tokens, least in itertools.product(TOKENS, LEAST_TEXTS):
            vectorizer = self._features(tokens, least)
            features = vectorizer.fit_transform(train[0])
            unseen = vectorizer.transform(validation[0])
            model = self._linear(1.0)
            for strength in STRENGTHS[self.kind]:
                model.set_params(C=strength).fit(features, train[1])
                accuracy = float(model.score(unseen, validation[1]))
                if accuracy > best[0]:
                    best = accuracy, {"tokens": tokens, "least": least, "C": strength}
        return {**best[1], "validation_accuracy": best[0]}

    def fit(self, train: Rows, model: Path, settings: dict[str, Any]) -> None:
        """Train and save."""
        import joblib  # type: ignore[import-untyped,unused-ignore]
        from sklearn.pipeline import make_pipeline

        features = self._features(settings["tokens"], settings["least"])
        pipeline = make_pipeline(features, self._linear(settings["C"]))
        joblib.dump(pipeline.fit(*train), model / "tfidf.joblib")

    def predict(self, model: Path, texts: list[str]) -> list[str]:
        """Return labels."""
        import joblib

        found: list[str] = joblib.load(model / "tfidf.joblib").predict(texts).tolist()
        return found

    def _features(self, tokens: str, least: int) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=TOKENS[tokens], min_df=least
        )

    def _linear(self, strength: float) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC

        if self.kind == "svm":
            return LinearSVC(C=strength)
        # going on from the solution for a smaller C saves most of the time of tuning
        return LogisticRegression(C=strength, max_iter=1000, warm_start=True)


class FastText:
    """fastText's classifier, by its command or, where there is none, by its package.

    Args:
        ngrams: the longest run of words that is a feature.
        threads: with more than one the result differs from run to run.
        vectors: a `.vec` file to begin with; its size is taken.
    """

    def __init__(self, ngrams: int, threads: int, vectors: Path | None = None) -> None:
        self.ngrams = ngrams
        self.threads = threads
        self.vectors = vectors

    def tune(self, train: Rows, validation: Rows) -> dict[str, Any]:
        """Choose the learning rate, then the epochs, then the size, each with the best so far."""
        best, highest = {**FIRST, "seed": 1}, -1.0
        sizes: tuple[int, ...] = SIZES
        if self.vectors:
            with self.vectors.open("rb") as file:
                sizes = (int(file.readline().split()[1]),)
            best["size"] = sizes[0]
        tried = []
        for name, values in (("rate", RATES), ("epochs", EPOCHS), ("size", sizes)):
            start = best
            for value in values:
                settings = {**start, name: value}
                if settings in tried:
                    continue
                tried.append(settings)
                with tempfile.TemporaryDirectory() as folder:
                    self.fit(train, Path(folder), settings)
                    found = self.predict(Path(folder), validation[0])
                hits = [one == other for one, other in zip(found, validation[1], strict=True)]
                if sum(hits) / len(hits) > highest:
                    best, highest = settings, sum(hits) / len(hits)
        return {**best, "validation_accuracy": highest}

    def fit(self, train: Rows, model: Path, settings: dict[str, Any]) -> None:
        """Train and save; to fastText a label is its number, since names may have spaces."""
        names = sorted(set(train[1]))
        (model / "labels.json").write_text(json.dumps(names))
        number = {name: index for index, name in enumerate(names)}
        options = {
            "lr": settings["rate"],
            "epoch": settings["epochs"],
            "dim": settings["size"],
            "wordNgrams": self.ngrams,
            "bucket": MOST_NUMBERS // settings["size"],
            "seed": settings["seed"],
            "thread": self.threads,
            "verbose": 0,
            "loss": settings.get("loss", "softmax"),
        }
        if self.vectors:
            options["pretrainedVectors"] = str(self.vectors)
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / "train.txt"
            with lines.open("w", encoding="utf-8") as file:
                for text, label in zip(*train, strict=True):
                    file.write(f"__label__{number[label]} {fasttext_line(text)}\n")
            if binary := shutil.which("fasttext"):
                words = [str(word) for key, value in options.items() for word in (f"-{key}", value)]
                files = ["-input", str(lines), "-output", str(model / "fasttext")]
                command = [binary, "supervised", *files, *words]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                (model / "fasttext.vec").unlink()  # the vectors as text; prediction needs none
                return
            import fasttext  # type: ignore[import-not-found,import-untyped,unused-ignore]

            trained = fasttext.train_supervised(str(lines), **options)
            trained.save_model(str(model / "fasttext.bin"))

    def predict(self, model: Path, texts: list[str]) -> list[str]:
        """Return labels."""
        names = json.loads((model / "labels.json").read_text())
        lines = [fasttext_line(text) + "\n" for text in texts]
        if binary := shutil.which("fasttext"):
            command = [binary, "predict", str(model / "fasttext.bin"), "-"]
            answer = subprocess.run(
                command, input="".join(lines), capture_output=True, text=True, check=True
            )
            found = answer.stdout.splitlines()
        else:
            import fasttext

            loaded = fasttext.load_model(str(model / "fasttext.bin"))
            # not `predict`, which does not go with numpy 2
            labels, _ = loaded.f.multilinePredict(lines, 1, 0.0, "strict")
            found = [one[0] if one else "" for one in labels]
        # no answer where no word is known
        return [names[int(one.removeprefix("__label__") or 0)] for one in found]


def write_vectors(source: Path, out: Path) -> None:
    """Write a file of vectors, of any form that textlstm reads, as fastText reads it."""
    from textlstm.text.vector_files import open_vectors

    with open_vectors(source) as file:
        count = sum(1 for _ in file.rows())
    with open_vectors(source) as file, out.open("wb") as vec:
        vec.write(f"{count} {file.size}\n".encode())
        for word, numbers in file.rows():
            values = " ".join(f"{value:.6g}" for value in file.parse(numbers).tolist())
            vec.write(word.replace(b" ", b"_") + f" {values}\n".encode())


def fasttext_line(text: str) -> str:
    """Return a text as fastText's authors prepare it: lower case, marks apart, one line."""
    plain = re.sub(r"<br\s*/?>", " ", text.lower())
    return " ".join(re.findall(r"\w+|[^\w\s]", plain)) or "."
