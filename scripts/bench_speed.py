"""Measure training and inference against packed nn.LSTM, padded nn.LSTM and Keras.

    python scripts/bench_speed.py [--rounds 5] [--data FOLDER] [--json FILE]

Every contender runs in its own process, as its user would run it. All take turns, round after
round, so that a change in the machine's speed affects all of them. Figures are medians over the
rounds. A training step has all parts: embedding, two-layer BiLSTM, final states, linear layer,
loss, backward pass, clipping, optimizer. With --neighbours N, everything is measured beside N
processes that keep a core busy each; torch's own way of sharing a product among threads is then far
slower than its share of the cores.

    ours          BiLSTMClassifier on the dense path, batches of similar length; it predicts as
                  `textlstm predict` does, with batches spread over the CPU threads
    packed        nn.LSTM over packed sequences, batches in random order
    packed-sorted the same, batches of similar length
    padded        nn.LSTM over padded batches in random order: fast, and wrong
    keras         Keras on TensorFlow with masking, batches of similar length; needs TensorFlow
                  in this environment or in that of --keras-python

Lengths are those of `imdb` (cut at 400 tokens) and `sst2` under --data, or drawn from
log-normal distributions fitted to them. Token ids follow Zipf's law.

Shapes: B batch, T time (tokens), E embedding, H hidden, L layers, D directions, V vocabulary.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.argv[1:3] == ["--worker", "ours"]:
    from textlstm.nn.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does, before NumPy starts threads

import numpy as np

EMBEDDING, HIDDEN, LAYERS, VOCABULARY, CLASSES, BATCH = 100, 128, 2, 30_000, 2, 64
TEXTS = 1280  # 20 batches
CONTENDERS = (
    ("ours", "fp32"),
    ("ours", "bf16"),
    ("packed", "fp32"),
    ("packed-sorted", "fp32"),
    ("padded", "fp32"),
    ("padded", "bf16"),
    ("keras", "fp32"),
    ("keras", "bf16"),
)
SLOW = ("packed", "packed-sorted")  # these run only a few of the batches in a round


@dataclass(frozen=True)
class Workload:
    """Texts of one kind.

    Args:
        name: 'imdb' or 'sst2'.
        lengths: tokens of each text, int64 [TEXTS].
    """

    name: str
    lengths: np.ndarray

    def batches(self, like_lengths: bool) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (ids [B, T], lengths [B]) batches, of similar lengths or in random order."""
        random = np.random.default_rng(0)
        order = random.permutation(len(self.lengths))
        if like_lengths:
            order = order[np.argsort(-self.lengths[order], kind="stable")]
        weights = 1.0 / np.arange(2, VOCABULARY)  # Zipf 1949
        cumulative = np.cumsum(weights / weights.sum())
        batches = []
        for start in range(0, len(order), BATCH):
            lengths = self.lengths[order[start : start + BATCH]]
            draws = random.random((len(lengths), lengths.max()))
            ids = np.minimum(np.searchsorted(cumulative, draws) + 2, VOCABULARY - 1)
            ids[np.arange(lengths.max()) >= lengths[:, None]] = 0
            batches.append((ids.astype(np.int64), lengths))
        return [batches[i] for i in random.permutation(len(batches))]


def workloads(data: Path | None) -> list[Workload]:
    """Return the lengths of the texts in --data, or random ones of a similar distribution."""
    random = np.random.default_rng(1)
    result = []
    # mean and deviation of the logarithm of the lengths in tokens, as counted on the corpora
    for name, cut, mean, deviation in (("imdb", 400, 5.4, 0.6), ("sst2", 400, 2.84, 0.52)):
        lengths = np.exp(random.normal(mean, deviation, TEXTS)).astype(np.int64)
        file = data / name / "train.parquet" if data else None
        if file is not None and file.is_file():
            lengths = real_lengths(file)
        result.append(Workload(name, np.clip(lengths, 1, cut)))
    return result


def real_lengths(file: Path) -> np.ndarray:
    """Count the tokens of TEXTS texts, taken evenly from a corpus."""
    from textlstm import load_corpus
    from textlstm.config import TokenizerConfig
    from textlstm.text.tokenizer import TextTokenizer

    corpus = load_corpus(str(file))
    assert corpus.train is not None
    split = corpus.train.select(np.linspace(0, len(corpus.train) - 1, TEXTS).astype(np.int64))
    config = TokenizerConfig(vocab_size=10, max_length=10_000)
    tokenizer = TextTokenizer.train(split.texts, config)
    return np.concatenate([tokenizer.encode_batch(texts)[1] for texts in split.texts()])


class Ours:
    """The library, by the parts of its training loop."""

    def __init__(self, precision: str) -> None:
        import torch

        from textlstm import BiLSTMClassifier
        from textlstm.config import ModelConfig, TrainingConfig
        from textlstm.training.gradients import Parts
        from textlstm.training.optimizer import make_optimizer

        torch.manual_seed(0)
        self.model = BiLSTMClassifier(
            ModelConfig(
                embedding_size=EMBEDDING,
                hidden_size=HIDDEN,
                num_layers=LAYERS,
                pooling="final",
                ngrams=0,
            ),
            vocab_size=VOCABULARY,
            num_classes=CLASSES,
        )
        self.model.compute_dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.optimizer = make_optimizer(self.model, TrainingConfig())
        self.parts = Parts(self.model, self.learn)
        self.batch: tuple[Any, ...] = ()

    def train(self, ids: Any, lengths: Any, labels: Any) -> None:
        """Run one training step."""
        from textlstm.training.optimizer import clip_gradients, update_threads

        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        self.batch = ids, lengths, labels
        self.parts.learn(np.arange(len(ids)), np.arange(len(ids)))
        with update_threads(self.model):
            clip_gradients(self.model.parameters(), 1.0)
            self.optimizer.step()

    def learn(self, model: Any, part: np.ndarray, rows: np.ndarray) -> Any:
        """Compute the gradients of a part of the batch."""
        import torch

        ids, lengths, labels = (values[part] for values in self.batch)
        loss = torch.nn.functional.cross_entropy(model(ids, lengths), labels, reduction="sum")
        loss = loss / len(rows)
        loss.backward()
        return loss.detach()

    def predictor(self, batches: list[Any]) -> Callable[[], Any]:
        """Return a function that predicts all batches; it sorts the texts by length again."""
        from textlstm.classifier.predictor import predict_texts
        from textlstm.data.encoded import EncodedTexts

        texts = EncodedTexts.from_batches(
            (ids[ids > 0].numpy(), lengths.numpy()) for ids, lengths in batches
        )
        self.model.eval()
        return functools.partial(predict_texts, self.model, texts, batch_size=BATCH)


class Plain:
    """The same network as most people write it, on nn.LSTM; `packed` is the right one."""

    def __init__(self, precision: str, packed: bool) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)
        self.packed = packed
        self.bf16 = precision == "bf16"
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING, padding_idx=0)
        self.lstm = nn.LSTM(
            EMBEDDING, HIDDEN, LAYERS, bidirectional=True, batch_first=True, dropout=0.3
        )
        self.linear = nn.Linear(2 * HIDDEN, CLASSES)
        self.dropout = nn.Dropout(0.3)
        self.modules = nn.ModuleList([self.embedding, self.lstm, self.linear, self.dropout])
        self.optimizer = torch.optim.AdamW(self.modules.parameters(), lr=2e-3)

    def logits(self, ids: Any, lengths: Any) -> Any:
        """Run the network."""
        import torch
        from torch.nn.utils.rnn import pack_padded_sequence

        x = self.dropout(self.embedding(ids))  # [B, T, E]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            if self.packed:
                x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, (h_n, _) = self.lstm(x)  # [L*D, B, H]
        final = torch.cat([h_n[-2], h_n[-1]], dim=1).float()  # [B, 2H]
        return self.linear(self.dropout(final))

    def train(self, ids: Any, lengths: Any, labels: Any) -> None:
        """Run one training step."""
        import torch

        self.modules.train()
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.logits(ids, lengths), labels).backward()
        torch.nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimizer.step()

    def predictor(self, batches: list[Any]) -> Callable[[], Any]:
        """Return a function that predicts all batches."""
        import torch

        self.modules.eval()

        @torch.inference_mode()
        def predict() -> None:
            for ids, lengths in batches:
                self.logits(ids, lengths).softmax(1)

        return predict


class Keras:
    """The same network in Keras with masking; lengths are padded up to a multiple of 16.

    A compiled function is made per shape; rounding bounds their number, as a Keras user who
    buckets by length would do.
    """

    def __init__(self, precision: str) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras

        keras.utils.set_random_seed(0)
        if precision == "bf16":
            keras.config.set_dtype_policy("mixed_bfloat16")
        layers = keras.layers

        def two_way(sequences: bool) -> Any:
            return layers.Bidirectional(layers.LSTM(HIDDEN, return_sequences=sequences))

        self.model = keras.Sequential(
            [
                layers.Embedding(VOCABULARY, EMBEDDING, mask_zero=True),
                layers.Dropout(0.3),
                two_way(True),
                layers.Dropout(0.3),
                two_way(False),
                layers.Dropout(0.3),
                layers.Dense(CLASSES, dtype="float32"),
            ]
        )
        self.model.compile(
            keras.optimizers.AdamW(2e-3, global_clipnorm=1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def train(self, ids: Any, lengths: Any, labels: Any) -> None:
        """Run one training step."""
        self.model.train_on_batch(ids, labels)

    def predictor(self, batches: list[Any]) -> Callable[[], Any]:
        """Return a function that predicts all batches."""

        def predict() -> None:
            for ids, _ in batches:
                self.model.predict_on_batch(ids)

        return predict


def work(name: str, precision: str, lengths_by_workload: dict[str, list[int]]) -> None:
    """Run as a contender: prepare, then time each request on standard input."""
    contender: Any
    prepared: dict[str, list[Any]] = {}
    like = name in ("ours", "packed-sorted", "keras")
    for kind, lengths in lengths_by_workload.items():
        prepared[kind] = Workload(kind, np.array(lengths)).batches(like)
    if name == "keras":
        contender = Keras(precision)
        for kind, batches in prepared.items():
            prepared[kind] = [
                (np.pad(ids, ((0, 0), (0, -ids.shape[1] % 16))).astype(np.int32), lengths)
                for ids, lengths in batches
            ]
    else:
        import torch

        contender = Ours(precision) if name == "ours" else Plain(precision, name in SLOW)
        for kind, batches in prepared.items():
            prepared[kind] = [(torch.tensor(ids), torch.tensor(n)) for ids, n in batches]
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        answer(timed(contender, prepared[request["workload"]], request))


def timed(contender: Any, batches: list[Any], request: dict[str, Any]) -> dict[str, Any]:
    """Run some batches in one mode; return seconds, texts, tokens and peak memory."""
    import resource

    chosen = [batches[i % len(batches)] for i in request["batches"]]
    like = np.zeros if isinstance(contender, Keras) else tensor_zeros
    labels = [like(len(lengths)) for _, lengths in chosen]
    predict = contender.predictor(chosen)
    began = time.perf_counter()
    if request["mode"] == "training":
        for (ids, lengths), targets in zip(chosen, labels, strict=True):
            contender.train(ids, lengths, targets)
    else:
        predict()
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "texts": sum(len(lengths) for _, lengths in chosen),
        "tokens": int(sum(lengths.sum() for _, lengths in chosen)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def tensor_zeros(count: int) -> Any:
    """Return labels for a batch."""
    import torch

    return torch.zeros(count, dtype=torch.int64)


def answer(value: dict[str, Any]) -> None:
    """Send one line to the process that measures."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name: str, precision: str, python: str, lengths: dict[str, list[int]]):
        self.name, self.precision = name, precision
        arguments = [python, __file__, "--worker", name, precision]
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.ready = self.ask(lengths) is not None

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request and wait for its answer; None if the process has ended."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def end(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def chosen_batches(name: str, workload: str, mode: str, turn: int) -> list[int]:
    """Return the batches that a contender runs in a round: all, or a few if it is slow."""
    every = list(range(TEXTS // BATCH))
    if name == "packed" and workload == "imdb":
        few = 2 if mode == "training" else 6
        return [(turn * few + i) % len(every) for i in range(few)]
    return every if name != "packed-sorted" or workload != "imdb" else every[turn % 5 :: 5]


def precisions() -> list[str]:
    """Return those in which oneDNN computes on this processor."""
    import torch

    return ["fp32", "bf16"] if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ["fp32"]


def gemm_limits() -> dict[str, float]:
    """Measure GFLOP/s of plain matrix products of the sizes that the model uses."""
    import torch

    limits = {}
    kernel = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    for precision in precisions():
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        best = 0.0
        for inner in (EMBEDDING, HIDDEN, HIDDEN * 2):
            a = torch.randn(BATCH * 200, inner).to(dtype)
            weight = torch.randn(4 * HIDDEN, inner).to(dtype)
            products: list[Callable[[], Any]]
            products = [functools.partial(torch.nn.functional.linear, a, weight)]
            if kernel is not None and torch.backends.mkldnn.is_available():
                products.append(functools.partial(kernel, a, weight, None, "none", [], ""))
            for product in products:
                product()
                seconds = []
                for _ in range(7):
                    began = time.perf_counter()
                    product()
                    seconds.append(time.perf_counter() - began)
                flop = 2 * a.shape[0] * inner * 4 * HIDDEN
                best = max(best, flop / statistics.median(seconds) / 1e9)
        limits[precision] = best
    return limits


def gflop(tokens: int, mode: str) -> float:
    """Return the arithmetic of the LSTM's matrix products; training is three times inference."""
    per_token = 0
    for layer in range(LAYERS):
        inputs = EMBEDDING if layer == 0 else 2 * HIDDEN
        per_token += 2 * 2 * 4 * HIDDEN * (inputs + HIDDEN)
    return tokens * per_token * (3 if mode == "training" else 1) / 1e9


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run all contenders in turn; return one record per contender, workload and mode."""
    kinds = workloads(arguments.data)
    lengths = {kind.name: kind.lengths.tolist() for kind in kinds}
    workers = []
    for name, precision in CONTENDERS:
        if arguments.only and name not in arguments.only:
            continue
        if precision not in precisions():
            print(f"left out: {name} {precision} (this processor has no such products)")
            continue
        python = arguments.keras_python if name == "keras" else sys.executable
        worker = Worker(name, precision, python, lengths)
        if worker.ready:
            workers.append(worker)
        else:
            print(f"left out: {name} {precision} (it does not run in this environment)")
    records: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    limits = [gemm_limits()]
    for _ in range(arguments.neighbours):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        atexit.register(busy.kill)
    for turn in range(-1, arguments.rounds):  # turn -1 warms up
        for kind in kinds:
            for mode in ("training", "inference"):
                for worker in workers:
                    batches = chosen_batches(worker.name, kind.name, mode, max(turn, 0))
                    request = {"workload": kind.name, "mode": mode, "batches": batches}
                    result = worker.ask(request)
                    assert result is not None, f"{worker.name} {worker.precision} has died"
                    if turn >= 0:
                        key = (kind.name, mode, worker.name, worker.precision)
                        records.setdefault(key, []).append(result)
        limits.append(gemm_limits())
        print(f"round {turn + 1} of {arguments.rounds}", file=sys.stderr)
    for worker in workers:
        worker.end()
    limit = {p: statistics.median(entry[p] for entry in limits) for p in precisions()}
    return [summary(key, results, limit) for key, results in records.items()]


def summary(
    key: tuple[str, str, str, str], results: list[dict[str, Any]], limit: dict[str, float]
) -> dict[str, Any]:
    """Return the medians over the rounds of one contender."""
    workload, mode, name, precision = key
    rate = statistics.median(gflop(r["tokens"], mode) / r["seconds"] for r in results)
    return {
        "workload": workload,
        "mode": mode,
        "contender": name,
        "precision": precision,
        "texts_per_second": statistics.median(r["texts"] / r["seconds"] for r in results),
        "tokens_per_second": statistics.median(r["tokens"] / r["seconds"] for r in results),
        "gflops": rate,
        "gemm_limit_gflops": limit[precision],
        "share_of_limit": rate / limit[precision],
        "peak_mb": max(r["peak_mb"] for r in results),
    }


def table(records: list[dict[str, Any]]) -> str:
    """Return the figures as a table; the last column is the speed relative to packed."""
    lines = []
    for workload, mode in dict.fromkeys((r["workload"], r["mode"]) for r in records):
        rows = [r for r in records if (r["workload"], r["mode"]) == (workload, mode)]
        packed = [r["tokens_per_second"] for r in rows if r["contender"] == "packed"]
        lines.append(f"\n{workload} {mode}")
        lines.append(
            f"{'':22}{'texts/s':>10}{'tokens/s':>12}{'GFLOP/s':>9}{'of limit':>10}"
            f"{'peak MB':>9}{'x packed':>10}"
        )
        for r in rows:
            times = f"{r['tokens_per_second'] / packed[0]:.1f}" if packed else "-"
            lines.append(
                f"{r['contender'] + ' ' + r['precision']:22}{r['texts_per_second']:>10,.0f}"
                f"{r['tokens_per_second']:>12,.0f}{r['gflops']:>9,.0f}"
                f"{r['share_of_limit']:>10.0%}{r['peak_mb']:>9,.0f}{times:>10}"
            )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark or, with --worker, one of its contenders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds to measure, after one to warm up"
    )
    parser.add_argument("--data", type=Path, help="folder with imdb/ and sst2/")
    parser.add_argument("--json", type=Path, help="file for the figures")
    names = list(dict.fromkeys(name for name, _ in CONTENDERS))
    parser.add_argument("--only", nargs="+", choices=names, help="only these contenders")
    parser.add_argument(
        "--neighbours", type=int, default=0, help="busy processes beside, of a core each"
    )
    parser.add_argument("--keras-python", default=sys.executable, help="a Python that has Keras")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, precision = arguments.worker
        work(name, precision, json.loads(sys.stdin.readline()))
        return
    records = measure(arguments)
    print(table(records))
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
