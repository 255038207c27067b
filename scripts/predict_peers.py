"""The peers of `bench_predict.py`: a packed loop, fastText and TF-IDF.

Each reads a csv in batches, classifies them and writes a csv.
"""

from __future__ import annotations

import csv
import itertools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

BATCH = 64


def batches(source: Path) -> Iterator[list[dict[str, str]]]:
    """Read a csv in batches."""
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        while batch := list(itertools.islice(reader, BATCH)):
            yield batch


def write(out: Path, labelled: Iterable[tuple[dict[str, str], str, float]]) -> None:
    """Write rows with their labels and scores."""
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "score"])
        for row, label, score in labelled:
            writer.writerow([*row.values(), label, score])


def packed(model: Path, source: Path, out: Path) -> None:
    """Classify as most people write it: batches in the order of the file, packed."""
    import torch
    from torch import Tensor, nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

    from textlstm import TextClassifier
    from textlstm.nn.network import combine

    classifier = TextClassifier.load(model, device="cpu")
    network, shape = classifier.model, classifier.settings.model
    if shape.pooling not in ("final", "max", "final+max"):
        sys.exit(f"the packed loop has no {shape.pooling} pooling: train with another --pooling")
    lstm = nn.LSTM(
        *(shape.embedding_size, shape.hidden_size, shape.num_layers),
        batch_first=True,
        bidirectional=shape.bidirectional,
    )
    lstm.load_state_dict(network.lstm.state_dict())
    lstm.eval()

    def pooled(ids: Tensor, lengths: Tensor) -> Tensor:
        x = nn.functional.embedding(ids, network.embedding.weight)  # [B, T, E]
        inputs = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, (h_n, _) = lstm(inputs)  # h_n [L*D, B, H]
        parts = []
        if "final" in shape.pooling:
            parts += list(h_n[-2 if shape.bidirectional else -1 :])  # [B, H] each
        if "max" in shape.pooling:
            states, _ = pad_packed_sequence(output, batch_first=True, padding_value=-torch.inf)
            parts.append(states.amax(dim=1))  # [B, D*H]
        return torch.cat(parts, dim=1)  # [B, F]

    def labelled() -> Iterator[tuple[dict[str, str], str, float]]:
        for batch in batches(source):
            texts = [torch.tensor(classifier.tokenizer.encode(row["text"])) for row in batch]
            lengths = torch.tensor([len(one) for one in texts])  # [B]
            ids = pad_sequence(texts, batch_first=True)  # [B, T]
            branches = [network.linear(pooled(ids, lengths))]  # [B, C]
            if network.ngrams is not None:
                branches.append(network.ngrams(ids, lengths))
            logits = combine(torch.stack(branches), network.scales)  # [B, C]
            scores, best = logits.softmax(1).max(1)
            for row, label, score in zip(batch, best.tolist(), scores.tolist(), strict=True):
                yield row, classifier.labels[label], score

    with torch.inference_mode():
        write(out, labelled())


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
    """Return a text as a line."""
    return " ".join(text.split()) + "\n"


def predict_fasttext(model: Path, source: Path, out: Path) -> None:
    """Classify with the package fasttext."""
    import fasttext

    loaded = fasttext.load_model(str(model))

    def labelled() -> Iterator[tuple[dict[str, str], str, float]]:
        for batch in batches(source):
            texts = [one_line(row["text"]) for row in batch]
            # not `predict`, which does not go with numpy 2
            labels, scores = loaded.f.multilinePredict(texts, 1, 0.0, "strict")
            for row, label, score in zip(batch, labels, scores, strict=True):
                yield row, label[0], score[0]

    write(out, labelled())


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

    def labelled() -> Iterator[tuple[dict[str, str], str, float]]:
        while batch := list(itertools.islice(reader, 1000)):
            found = pipeline.predict_proba([row["text"] for row in batch])
            for row, scores in zip(batch, found, strict=True):
                yield row, pipeline.classes_[scores.argmax()], float(scores.max())

    write(out, labelled())
