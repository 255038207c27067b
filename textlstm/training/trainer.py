"""The training of a classifier: the loop with its gradients and its validation.

Shapes: B batch, T time (tokens), N texts, C classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from textlstm.data.encoded import LabelledTexts
from textlstm.evaluation.cascade import Cascade
from textlstm.io.progress import Display
from textlstm.nn.loss import make_loss
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.gradients import BatchGradients
from textlstm.training.loop import Loop
from textlstm.training.validation import evaluate_split


class Trainer(Loop):
    """Trains a classifier; see `Loop` for the arguments.

    The model is a `BiLSTMClassifier`, or has its `branches`, `lstm_logits` and `scales`. Of the
    weights of training texts only the proportions matter; those of validation count in its figures.
    A split `unlabeled`, whose labels don't matter, has texts for which the model teaches itself.

    Raises:
        ConfigError: the device does not exist, or, at the first step, a class weight.
        DataError: there is nothing to train on or to validate with.
    """

    figures: ClassVar[Mapping[str, str]] = {
        "loss": "log_loss",
        "accuracy": "accuracy",
        "macro_f1": "macro_f1",
    }

    @cached_property
    def _gradients(self) -> BatchGradients:
        train, adversarial = self.splits["train"], self.config.adversarial
        assert adversarial is not None  # see `resolve`
        loss = make_loss(self.config, train.labels, self.labels).to(self.device)
        others = self.splits["unlabeled"].texts if "unlabeled" in self.splits else None
        return BatchGradients(
            self.model, train, loss, self._world, adversarial=adversarial, unlabeled=others
        )

    @cached_property
    def _unlabeled(self) -> Iterator[np.ndarray]:
        """The batches of texts without labels from this step on: all texts, again and again."""
        numbers = itertools.count() if "unlabeled" in self.splits else ()
        rounds = (self._batches(number, "unlabeled") for number in numbers)
        return itertools.islice(itertools.chain.from_iterable(rounds), self._progress.step, None)

    def learn(self, rows: np.ndarray) -> Tensor:
        """Add the gradients of a batch to those of the model; return its loss, a scalar."""
        return self._gradients.of(rows, next(self._unlabeled, None))

    def validate(self) -> dict[str, Any] | None:
        """Evaluate the model on validation, its scales fitted first; None if it was cut off."""
        return self._evaluate(
            self.splits["validation"], on_batch=self._on_batch, calibrate=self.config.calibrate
        )

    def evaluate(
        self,
        split: LabelledTexts,
        thresholds: Sequence[float] | None = None,
        cascade: Cascade | None = None,
    ) -> dict[str, Any]:
        """Evaluate the model as it is, all processes together.

        Args:
            split: texts whose labels are known.
            thresholds: where a text may have several labels, those of `best_thresholds`; the
                best for this split itself if not given.
            cascade: of a model with n-grams; fitted on this split itself if not given.

        Returns:
            What `evaluate_probabilities` returns, and for a model with n-grams `cascade`: what
            `cascade_figures` returns.

        Raises:
            TrainingError: probabilities are not finite.
        """
        with Display("texts", len(split), brief=True) as display:

            def on_batch(done: int) -> bool:
                display.update(done)
                return True

            options: dict[str, Any] = {"thresholds": thresholds, "cascade": cascade}
            metrics = self._evaluate(split, on_batch=on_batch, **options)
        assert metrics is not None
        return metrics

    def _evaluate(self, split: LabelledTexts, **options: Any) -> dict[str, Any] | None:
        self.model.eval()
        self._compute_in(torch.float32)  # as prediction does
        options |= {"batch_size": self.config.batch_size, "world": self._world}
        try:
            return evaluate_split(cast(BiLSTMClassifier, self.model), split, self.labels, **options)
        except FloatingPointError as error:
            raise self._diverged(str(error)) from error

    def _on_batch(self, done: int) -> bool:
        """Report the progress of the validation; return whether to continue."""
        self._observer.on_evaluate(done, len(self.splits["validation"]))
        return not self._stop
