"""The gradients of a batch, of which each process computes a part, and each of its threads.

`DistributedDataParallel` wants a dense gradient of every parameter from every process; here an
embedding's gradient is of the rows that were read, and a process may have had no text.

Threads that share the products of an LSTM wait for each other at every time step. Beside other
work one of them is often not running, and the others use up the processor's time until it is:
training is then ten times slower. Threads with a part of the batch each wait once per batch.

Texts without labels can be learned from in the same steps: the target is what the model itself
says of the text as it is, without dropout, and it learns to say so of the text with dropout and
moved against it (virtual adversarial training, Miyato et al. 2017, but along the gradient of the
cross entropy). The target is sharpened, so that the model also has to decide (as Xie et al. 2020).

Shapes: N texts, B texts of a batch or of a part of it, T tokens, C classes, V rows of an
embedding, E numbers per row, K rows that a batch read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from textlstm.classifier.predictor import MOST_THREADS, start_threads
from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate
from textlstm.nn.device import cpu_threads
from textlstm.nn.language_model import LanguageModel
from textlstm.nn.layers import RowEmbedding, drawing_from
from textlstm.nn.loss import Taught, TextLoss
from textlstm.nn.network import BiLSTMClassifier
from textlstm.nn.probabilities import probabilities_of
from textlstm.training.distributed import World
from textlstm.training.optimizer import unique_rows, update_threads

_LEAST_NORM = 1e-12  # of a gradient; below, a text is not moved
_LEAST_TEXTS = 4  # of a part
_OWN_TEMPERATURE = 0.5  # of a model's own predictions; 1 gave IMDB half as much
_LEAST_WORK = 40_000_000  # of a part: tokens times weights of the LSTM; threads share Python's time

Learn = Callable[[nn.Module, np.ndarray, np.ndarray], Tensor]


class Parts:
    """Computes the gradients of a batch in parts, each in a thread of its own.

    How many parts there are depends on torch's CPU threads, the model and the texts alone; a batch
    with little work is one part, since two would be slower. Each part draws its own random
    numbers, and gradients are added up in the order of the parts, so that the load changes
    nothing. On a GPU, and for classes of models that may draw from torch's generator or
    change themselves, the batch is the only part.

    Args:
        model: gets the gradients.
        learn: takes a model that shares the weights of `model`, the rows of a part (at least one)
            and those of the whole batch; adds the gradients to that model's, and returns the
            part's share of the loss, a scalar without a graph. Called in several threads at once.
        lengths: tokens of each text, [N]; without them, every batch counts as much work.
    """

    def __init__(self, model: nn.Module, learn: Learn, lengths: np.ndarray | None = None) -> None:
        self._model = model
        self._learn = learn
        self._lengths = lengths
        self._made_for: object = None
        self._replicas: list[nn.Module] = []
        self._pool: ThreadPoolExecutor | None = None

    def learn(self, part: np.ndarray, rows: np.ndarray) -> Tensor:
        """Add the gradients of this process's part of a batch to those of the model.

        Args:
            part: its rows, ordered by length; may be empty.
            rows: those of the whole batch.

        Returns:
            The part's share of the loss, a scalar.
        """
        device = next(self._model.parameters()).device
        if not len(part):
            return torch.zeros((), device=device)
        threads = torch.get_num_threads()
        workers = min(threads, MOST_THREADS)
        ours = isinstance(self._model, BiLSTMClassifier | LanguageModel)
        if workers < 2 or len(part) < 2 * _LEAST_TEXTS or device.type != "cpu" or not ours:
            return self._learn(self._model, part, rows)
        count = min(workers, len(part) // _LEAST_TEXTS, self._worth(part))
        if count < 2:
            with cpu_threads(1):
                return self._learn(self._model, part, rows)
        self._prepare(workers, threads)
        assert self._pool is not None
        seeds = torch.randint(2**63 - 1, (count,)).tolist()

        def learn(number: int) -> Tensor:
            with drawing_from(torch.Generator().manual_seed(seeds[number])):
                return self._learn(self._replicas[number], part[number::count], rows)

        losses = list(self._pool.map(learn, range(count)))
        with update_threads(self._model):
            self._add_up()
        return torch.stack(losses).sum()

    def _worth(self, part: np.ndarray) -> int:
        """Return how many threads a part of the batch has work for."""
        if self._lengths is None:
            return MOST_THREADS
        lstm = cast(BiLSTMClassifier | LanguageModel, self._model).lstm
        weights = sum(weight.numel() for weight in lstm.parameters())
        return max(1, int(self._lengths[part].sum()) * weights // _LEAST_WORK)

    def _prepare(self, workers: int, threads: int) -> None:
        """Start the threads and make the replicas, unless they are there."""
        model = cast(BiLSTMClassifier, self._model)
        weights = [(weight.data_ptr(), weight.requires_grad) for weight in model.parameters()]
        needed = (workers, threads, model.training, model.compute_dtype, weights)
        if self._made_for != needed:
            self._made_for = needed
            self._replicas = [_replica(model) for _ in range(workers)]
            self._pool = start_threads(workers, threads)

    def _add_up(self) -> None:
        """Move the gradients of the replicas to the model."""
        replicas = (replica.parameters() for replica in self._replicas)
        for weight, *others in zip(self._model.parameters(), *replicas, strict=True):
            for other in others:
                gradient, other.grad = other.grad, None
                if weight.grad is None or gradient is None:
                    weight.grad = gradient if weight.grad is None else weight.grad
                elif gradient.is_sparse:
                    weight.grad = weight.grad + gradient
                else:
                    weight.grad += gradient


def _replica(model: nn.Module) -> nn.Module:
    """Return a copy of a model that has the same weights in memory, and gradients of its own."""
    shared: dict[int, Tensor] = {id(buffer): buffer for buffer in model.buffers()}
    for weight in model.parameters():
        shared[id(weight)] = nn.Parameter(weight.detach(), weight.requires_grad)
    return copy.deepcopy(model, shared)


class BatchGradients:
    """Computes the gradients of batches.

    Args:
        model: has `lstm_logits`, (ids [B, T], lengths [B]) -> logits [B, C]; it gets the
            gradients.
        texts: what batches are made of; of their weights only the proportions matter.
        loss: on the model's device.
        world: the processes that share the work.
        adversarial: how far embeddings are moved against the model, as a share of their size;
            such a model is a `BiLSTMClassifier`.
        unlabeled: texts without labels, for which the model teaches itself; None for none.
    """

    def __init__(
        self,
        model: nn.Module,
        texts: LabelledTexts,
        loss: TextLoss,
        world: World,
        *,
        adversarial: float = 0.0,
        unlabeled: EncodedTexts | None = None,
    ) -> None:
        self._model = model
        self._parts = Parts(model, self._of_part, texts.texts.lengths)
        self._texts = texts
        self._loss = loss
        self._world = world
        self._adversarial = adversarial
        self._unlabeled = unlabeled
        lengths = None if unlabeled is None else unlabeled.lengths
        self._own_parts = Parts(model, self._of_own, lengths)
        self._own_count = 1  # texts that the loss of a batch without labels is divided by

    def of(self, rows: np.ndarray, unlabeled: np.ndarray | None = None) -> Tensor:
        """Add the gradients of a batch to those of the model.

        Args:
            rows: the batch, the same in all processes, [B].
            unlabeled: those of texts without labels, likewise, [B]; None for none. Together they
                count as much as the batch; fewer than it has count as much as its texts.

        Returns:
            The loss of the whole batch by its labels, a scalar without a graph.
        """
        loss = self._parts.learn(self._world.share(rows), rows)
        if unlabeled is not None:
            self._own_count = max(len(rows), len(unlabeled))
            self._own_parts.learn(self._world.share(unlabeled), unlabeled)
        sum_gradients(self._model, self._world, loss)
        return loss

    def _of_part(self, model: nn.Module, part: np.ndarray, rows: np.ndarray) -> Tensor:
        """Add the gradients of some texts of a batch; return their part of the loss."""
        device = next(model.parameters()).device
        targets, weights, taught = known_of(self._texts, part, device)
        share: Tensor | float = 1.0
        if len(part) < len(rows):  # the loss is divided by what counts in the part
            whole = torch.from_numpy(self._texts.labels[rows]).to(device)
            share = self._loss.divisor(targets) / self._loss.divisor(whole)

        def loss_of(logits: Tensor) -> Tensor:
            loss: Tensor = self._loss(logits, targets, weights, taught) * share
            return loss

        batch = collate(self._texts.texts, part, few_shapes=True)  # [B, T], [B]
        return self._learn(cast(BiLSTMClassifier, model), loss_of, *batch, targets)

    def _of_own(self, model: nn.Module, part: np.ndarray, rows: np.ndarray) -> Tensor:
        """Do as `_of_part` with texts without labels, and what the model itself says of them."""
        assert self._unlabeled is not None
        model = cast(BiLSTMClassifier, model)
        ids, lengths = collate(self._unlabeled, part, few_shapes=True)  # [B, T], [B]
        several = self._texts.multi_label
        model.eval()
        with torch.no_grad():
            logits = model.lstm_logits(ids.to(next(model.parameters()).device), lengths)  # [B, C]
        model.train()
        own = probabilities_of(logits.float() / _OWN_TEMPERATURE, multi_label=several)  # [B, C]
        targets = own >= 0.5 if several else own.argmax(dim=1)
        taught = Taught(own, own.new_zeros(len(own)))
        share = len(part) / self._own_count

        def loss_of(logits: Tensor) -> Tensor:
            loss: Tensor = self._loss(logits, targets, None, taught) * share
            return loss

        return self._learn(model, loss_of, ids, lengths, targets)

    def _learn(
        self,
        model: BiLSTMClassifier,
        loss_of: Callable[[Tensor], Tensor],
        ids: Tensor,
        lengths: Tensor,
        targets: Tensor,
    ) -> Tensor:
        """Learn from texts as they are, then moved to where the loss is greater; return the first.

        The step is a share of the norm of a text's embeddings, not a fixed length, so that one
        number does for short and long texts and for any vectors (after Miyato et al. 2017). The
        better the model knows a text's label, the longer the step: moving what is not known yet
        would keep it from being learned.
        """

        def learn(logits: Tensor) -> Tensor:
            loss = loss_of(logits)
            loss.backward()
            return loss.detach()

        ids = ids.to(targets.device)
        if not self._adversarial:
            return learn(model.lstm_logits(ids, lengths))
        ids = model.drop_words(ids)
        x = model.embed(ids)  # [B, T, E]
        if not x.requires_grad:  # embeddings that are frozen
            x.requires_grad_()
        x.retain_grad()
        logits = model.read(x, lengths)  # [B, C]
        loss = learn(logits)
        assert x.grad is not None
        with torch.no_grad():
            size, steepness = (part.flatten(1).norm(dim=1) for part in (x, x.grad))  # [B]
            length = self._adversarial * size / steepness.clamp(min=_LEAST_NORM)
            length = length * _knowledge(logits, targets)
            shift = x.grad * length[:, None, None]
        learn(model.read(model.embed(ids) + shift, lengths))
        return loss


def known_of(
    texts: LabelledTexts, rows: np.ndarray | slice, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor | None, Taught | None]:
    """Return labels, weights and a teacher's predictions of some texts, as a loss takes them."""

    def moved(values: np.ndarray | None) -> Tensor | None:
        return None if values is None else torch.from_numpy(np.array(values[rows])).to(device)

    targets, weights, taught, shares = map(
        moved, (texts.labels, texts.even_weights, texts.taught, texts.label_shares)
    )
    assert targets is not None
    return targets, weights, None if taught is None or shares is None else Taught(taught, shares)


def _knowledge(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how well each text's labels are known, [B]: 0 is no better than chance, 1 is sure."""
    several = targets.ndim == 2
    probabilities = probabilities_of(logits.detach().float(), multi_label=several)  # [B, C]
    if several:
        right = torch.where(targets, probabilities, 1 - probabilities).mean(dim=1)
        chance = 0.5
    else:
        right = probabilities.gather(1, targets[:, None])[:, 0]
        chance = 1 / logits.shape[1]
    return ((right - chance) / (1 - chance)).clamp(min=0)


def sum_gradients(model: nn.Module, world: World, loss: Tensor) -> None:
    """Add up the gradients and the loss of all processes, in place; all then hold the same.

    A row of a `RowEmbedding` that any process has read is afterwards in the gradient of all. A
    parameter without a gradient counts as one of zeros: a process may have had no text.

    Args:
        model: its gradients count, sparse ones only of a `RowEmbedding`.
        world: the processes; with one, nothing is done.
        loss: this process's part of the loss, a scalar; it rides in the same message.
    """
    if world.size == 1:
        return
    tables = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, RowEmbedding) and module.sparse
    }
    parts = [loss]
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in tables:
            parts.append(_with_rows_of_all(parameter, world))
        else:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parts.append(parameter.grad)
    world.sum_(parts)


def _with_rows_of_all(parameter: Tensor, world: World) -> Tensor:
    """Extend a sparse gradient to the rows of all processes; return their values, [K, E]."""
    if parameter.grad is None:
        rows = torch.empty(0, dtype=torch.int64, device=parameter.device)
        own = parameter.new_empty(0, parameter.shape[1])
    else:
        rows, own = unique_rows(parameter.grad)
    union = world.union(rows, parameter.shape[0])  # [K]
    values = parameter.new_zeros(len(union), parameter.shape[1])  # [K, E]
    values.index_copy_(0, torch.searchsorted(union, rows), own)
    parameter.grad = torch.sparse_coo_tensor(
        union[None], values, parameter.shape, is_coalesced=True, check_invariants=False
    )  # shares memory with `values`
    return values
