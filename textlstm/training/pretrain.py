"""Pretraining: from texts without labels to a base, which `train` starts from.

Shapes: B batch, T time (tokens), N texts, V vocabulary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from textlstm.classifier.base import Base, read_base, save_base
from textlstm.classifier.json_files import FILES
from textlstm.classifier.model_folder import PARTS, RunRecord
from textlstm.config import PRETRAIN_DEFAULTS, PRETRAIN_OPTIONS, TrainSettings
from textlstm.data.corpus import Source, load_texts
from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate, sorted_batches
from textlstm.errors import ConfigError, DataError
from textlstm.nn.device import cpu_threads, seed_everything
from textlstm.nn.language_model import SHARE, LanguageModel
from textlstm.options import reject_unknown
from textlstm.text.tokenizer import TextTokenizer
from textlstm.training.distributed import World, join
from textlstm.training.fit import run_loop
from textlstm.training.gradients import Parts, sum_gradients
from textlstm.training.loop import Loop
from textlstm.training.observer import Observer, TrainResult
from textlstm.training.pretrained import (
    Pretrained,
    load_start,
    load_tokenizer,
    make_start,
    save_tokenizer,
)
from textlstm.training.resolve import resolve
from textlstm.training.run import encoded_once
from textlstm.training.run_folder import RunFolder, RunRequest
from textlstm.training.train import request_of_main

logger = logging.getLogger(__name__)

_UNCUT = 2**31 - 1  # tokens
_EVERY = 100  # of so many texts one is held out
_MOST_HELD_OUT = 2000
_CHUNK = 1 << 20  # ids counted together


def pretrain(
    source: Source | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    finish: bool = False,
    observer: Observer | None = None,
    **options: Any,
) -> Base:
    """Learn tokenizer, embedding and LSTM from texts without labels, and write a base.

    Texts are cut into pieces of `max_length` tokens. In each piece, a fifth of the tokens is hidden
    and predicted from both sides (see `textlstm.nn.language_model`). One text of a hundred is held
    out; the epoch that predicts its hidden tokens best is kept.

    Args:
        source: the texts, as `train` takes them; labels are ignored. Not needed to resume.
        out: the folder of the base, new or empty.
        resume: resume the unfinished run in `out`; start one if `out` is empty.
        overwrite: replace what is in `out`.
        finish: end the unfinished run in `out` with the best epoch so far.
        observer: callbacks for steps and epochs; if not given, a notebook shows a bar.
        **options: those of `train` in `textlstm.config.PRETRAIN_OPTIONS`.

    Returns:
        The base; `train(init_from=...)` starts from its folder.

    Raises:
        TextLSTMError: something that the caller can fix; see `textlstm.errors`.
        TrainingInterrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    if out is None:
        raise ConfigError("out is missing: name the folder of the base")
    reject_unknown(options, PRETRAIN_OPTIONS)
    world, folder, resume = join(), RunFolder(out, "pretrain"), resume or finish
    if not resume or folder.is_empty():
        options = {**PRETRAIN_DEFAULTS, **options}
    if finish and folder.is_empty():
        source = None  # there is nothing to finish, and no run is started
    with contextlib.ExitStack() as stack:
        with world.main_first():
            if world.is_main:
                stack.enter_context(folder.held())
                request = folder.open(source, options, resume=resume, overwrite=overwrite)
            else:
                request = request_of_main(folder, source, world)
            if resume and folder.is_finished():
                logger.info("the run in %s has ended: there is nothing to resume", folder.path)
                return read_base(folder.path)
            run = _Run(request.settings, world, folder, observer, finish)
            run.read(request, resume=resume)
            run.encode()
        run.fit()
        return run.save()


@dataclasses.dataclass
class _Run:
    """A pretraining: `read`, `encode`, `fit`, `save`, in this order; see `train.Run`."""

    settings: TrainSettings
    world: World
    folder: RunFolder
    observer: Observer | None
    finish: bool
    texts: Callable[[], Iterator[list[str]]] = dataclasses.field(init=False)
    notes: list[str] = dataclasses.field(init=False)
    source: str = dataclasses.field(init=False)
    request: RunRequest = dataclasses.field(init=False)
    tokenizer: TextTokenizer = dataclasses.field(init=False)
    start: Pretrained | Base | None = dataclasses.field(init=False)
    parts: dict[str, EncodedTexts] = dataclasses.field(init=False)
    loop: _LanguageLoop = dataclasses.field(init=False)
    facts: dict[str, Any] = dataclasses.field(init=False)
    result: TrainResult = dataclasses.field(init=False)

    def read(self, request: RunRequest, *, resume: bool) -> None:
        """Find the texts, make the tokenizer, and make the folder this run's own."""
        assert request.source is not None
        self.world.device(self.settings.training.device)
        self.texts, self.notes, self.source = load_texts(request.source, self.settings.data)
        for note in self.notes:
            logger.info("%s", note)
        found = _fingerprint(self.texts())
        if not self.world.is_main and found != request.fingerprint:
            raise DataError(
                f"process {self.world.rank} reads other texts than the first process: all need "
                "the same"
            )
        begun = self.folder.has_begun() and (resume or not self.world.is_main)
        tokenizer = load_tokenizer(self.folder.work, self.settings.tokenizer) if begun else None
        self.tokenizer, self.start = make_start(self.settings, tokenizer, self.texts)
        self.request = dataclasses.replace(request, fingerprint=found)
        if self.world.is_main:
            self.folder.claim(self.request, resume=resume)

    def encode(self) -> None:
        """Encode the texts to disk in pieces, some of them for validation."""
        save_tokenizer(self.tokenizer, self.folder.work)
        self.parts = {
            name: encoded_once(self.folder.work, name, self._pieces(name))
            for name in ("train", "validation")
        }
        if not all(map(len, self.parts.values())):
            raise DataError("there are too few texts: pretraining needs at least two")
        settings = resolve(self.settings, len(self.parts["train"].ids))
        if self.world.is_main:
            self.request = dataclasses.replace(self.request, settings=settings)
            self.folder.write_request(self.request)
        self.settings = settings

    def _pieces(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        uncut, longest = self.tokenizer.cut(_UNCUT), self.settings.tokenizer.max_length
        for texts in _of_part(self.texts(), name):
            ids, lengths = uncut.encode_batch(texts)
            yield ids, cut_pieces(lengths, longest)

    def fit(self) -> None:
        """Train the language model."""
        training, work = self.settings.training, self.folder.work
        with cpu_threads(training.threads):
            seed_everything(training.seed)
            ids = self.parts["train"].ids
            model = LanguageModel(self.settings.model, _counts(ids, len(self.tokenizer.vocabulary)))
            self.facts = load_start(self.start, model, ids, work)
            self.loop = _LanguageLoop(
                model,
                {name: _unlabelled(part) for name, part in self.parts.items()},
                training,
                labels=[],
                checkpoint=self.folder.checkpoint,
                history=work / FILES.history,
                observer=self.observer,
                world=self.world,
            )
            resume = self.world.any(self.folder.checkpoint.is_file())[0]
            self.result = run_loop(self.loop, self.world, resume=resume, finish=self.finish)
        self.facts |= {"epochs": len(self.loop.history), "best_epoch": self.result.best_epoch}

    def save(self) -> Base:
        """Write the folder of the base."""
        metrics = self.result.best_metrics or self.loop.validate() or {}
        state = self.loop.model.state_dict()
        weights = {name: state[name].cpu() for name in state if name.startswith(PARTS)}
        base = Base(str(self.folder.path), self.tokenizer, self.settings, weights)
        with self.world.main_first():
            if self.world.is_main:
                record = RunRecord(
                    source=self.source,
                    fingerprint=self.request.fingerprint or "",
                    rows={name: len(part) for name, part in self.parts.items()},
                    notes=tuple(self.notes),
                    training=self.facts,
                    metrics={"validation": metrics},
                    history=tuple(self.loop.history),
                )
                save_base(self.folder.path, base, record)
                if self.result.reason != "max minutes":  # such a run can be resumed
                    self.folder.finish()
        return base


class _LanguageLoop(Loop):
    """Trains a `LanguageModel`; see `Loop`."""

    figures: ClassVar[Mapping[str, str]] = {"loss": "loss", "perplexity": "perplexity"}

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self.model, self._of_part)

    def learn(self, rows: np.ndarray) -> Tensor:
        """Add the gradients of a batch; return the loss of a hidden token."""
        total = self._parts.learn(self._world.share(rows), rows)
        sum_gradients(self.model, self._world, total)
        return total

    def _of_part(self, model: nn.Module, part: np.ndarray, rows: np.ndarray) -> Tensor:
        """Add the gradients of some texts of a batch; return their share of the loss."""
        texts = self.splits["train"].texts
        ids, lengths = collate(texts, part, few_shapes=True)  # [B, T], [B]
        # what is expected to be hidden, the same in all parts, not what is
        expected = SHARE * int(texts.lengths[rows].sum())
        loss: Tensor = model(ids.to(self.device), lengths) / expected
        loss.backward()
        return loss.detach()

    @torch.inference_mode()
    def validate(self) -> dict[str, Any] | None:
        """Return the loss of a hidden token over the whole vocabulary, and the perplexity."""
        model, texts = cast(LanguageModel, self.model).eval(), self.splits["validation"].texts
        self._compute_in(torch.float32)
        batches = sorted_batches(texts.lengths, batch_size=self.config.batch_size)
        total = torch.zeros(2, dtype=torch.float64)  # losses, tokens
        done, world = 0, self._world
        for first in range(0, len(batches), world.size):
            for number in range(first, min(first + world.size, len(batches)))[world.rank :][:1]:
                ids, lengths = collate(texts, batches[number], few_shapes=True)
                draws = torch.Generator().manual_seed(number)  # the same after each epoch
                hidden = model.hide(ids, draws).to(self.device)
                total[0] += model.full_loss(ids.to(self.device), lengths, hidden).cpu()
                total[1] += hidden.sum().cpu()
            done += sum(map(len, batches[first : first + world.size]))
            self._observer.on_evaluate(done, len(texts))
            if world.any(self._stop)[0]:
                return None
        world.sum_([total])
        loss = float(total[0] / total[1].clamp(min=1))
        return {"n": int(total[1]), "loss": loss, "perplexity": math.exp(min(loss, 700.0))}


def _unlabelled(texts: EncodedTexts) -> LabelledTexts:
    return LabelledTexts(texts, np.zeros(len(texts), np.int64))


def cut_pieces(lengths: np.ndarray, longest: int) -> np.ndarray:
    """Cut texts into pieces of like length.

    Args:
        lengths: tokens of each text, int64 [N].
        longest: most tokens of a piece.

    Returns:
        Tokens of each piece in order, each from 1 to `longest`.
    """
    lengths = np.asarray(lengths, np.int64)
    counts = -(-lengths // longest)  # pieces of each text
    first = np.repeat(np.cumsum(counts) - counts, counts)
    number = np.arange(counts.sum()) - first  # of each piece within its text
    whole, rest = np.repeat(lengths // counts, counts), np.repeat(lengths % counts, counts)
    pieces: np.ndarray = whole + (number < rest)
    return pieces


def _of_part(batches: Iterable[Sequence[str]], name: str) -> Iterator[list[str]]:
    """Yield the texts of train or validation: the first of each hundred is held out."""
    row = 0
    for texts in batches:
        numbers = range(row, row + len(texts))
        row += len(texts)
        held = [n % _EVERY == 0 and n < _EVERY * _MOST_HELD_OUT for n in numbers]
        found = [
            text for text, out in zip(texts, held, strict=True) if out == (name == "validation")
        ]
        if found:
            yield found


def _counts(ids: np.ndarray, entries: int) -> Tensor:
    """Return how often each entry of the vocabulary occurs, [V]."""
    counts = np.zeros(entries, np.int64)
    for start in range(0, len(ids), _CHUNK):
        counts += np.bincount(ids[start : start + _CHUNK], minlength=entries)
    return torch.from_numpy(counts)


def _fingerprint(batches: Iterable[Sequence[str]]) -> str:
    digest = hashlib.sha256()
    for texts in batches:
        for text in texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
