"""A teacher's predictions for the training texts, kept in a file of the run.

Shapes: N texts, C labels.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from textlstm.classifier.classifier import TextClassifier
from textlstm.config import FEW_TEXTS, TrainingConfig, TrainSettings
from textlstm.data.corpus import Corpus
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.data.split import Split
from textlstm.errors import ConfigError, TrainingError
from textlstm.io.atomic import atomic_path, write_text
from textlstm.nn.device import pick_precision

logger = logging.getLogger(__name__)

PROBABILITIES = "teacher.npy"  # float32 [N, C]; the file is there once it is complete
_FINGERPRINT = "teacher.json"
_MEMORY = "memory:"  # before the fingerprint of a classifier that was passed as a Python object
_CHUNK = 2**16  # rows


def split_teachers(options: dict[str, Any]) -> tuple[dict[str, Any], list[TextClassifier]]:
    """Separate classifiers in the option `teacher` from the names that are saved with the run.

    Args:
        options: settings by name.

    Returns:
        (the options, in which a classifier is named by its fingerprint; the classifiers).

    Raises:
        ConfigError: it is neither, or some of both.
    """
    given = options.get("teacher", ())
    given = [given] if isinstance(given, str | os.PathLike | TextClassifier) else list(given or ())
    objects = [one for one in given if isinstance(one, TextClassifier)]
    if objects and len(objects) < len(given):
        raise ConfigError("teacher: pass either names of models or classifiers, not both")
    if given:
        names = [_MEMORY + one.fingerprint() for one in objects]
        options = {**options, "teacher": names or [os.fspath(one) for one in given]}
    return options, objects


def who_teaches(settings: TrainSettings, corpus: Corpus) -> Literal["other", "first", "itself", ""]:
    """Return who says what labels texts may have, beside the labels that the data has.

    Args:
        settings: of the run.
        corpus: its texts.

    Returns:
        'other': models or columns of the data. Without those, for texts without labels: 'itself',
        the model that is trained, if it starts from a base or a model and more than a few texts
        have labels, else 'first', a first model that is trained on the labels alone. '' is nobody.
        With 1,000 labels of SST-2 and a base, a model that taught itself was 1.5 points worse than
        without the other texts, one that a first model taught 0.7 better (three seeds each).

    Raises:
        ConfigError: the model teaches itself, and there are options for a teacher.
    """
    if settings.training.teacher or corpus.train.taught is not None:
        return "other"
    if not corpus.unlabeled:
        return ""
    if settings.training.init_from is None or len(corpus.train) <= FEW_TEXTS:
        return "first"
    for name in ("teacher_weight", "teacher_temperature"):
        value = getattr(settings.training, name)
        if value != getattr(TrainingConfig, name):
            raise ConfigError(
                f"{name} = {value} is for a teacher: a model that starts from init_from and has "
                f"more than {FEW_TEXTS:,} labelled texts teaches itself; leave it out, or pass "
                "teacher"
            )
    return "itself"


def load_teachers(
    settings: TrainSettings, classifiers: Sequence[TextClassifier]
) -> Sequence[TextClassifier]:
    """Load the models that the settings name, unless classifiers were passed in Python.

    Returns:
        All teachers; none if they were passed to an earlier process.
    """
    names, device = settings.training.teacher, settings.training.device
    return classifiers or [
        TextClassifier.from_pretrained(name, device=device)
        for name in names
        if not name.startswith(_MEMORY)
    ]


def require_same_labels(
    classifiers: Sequence[TextClassifier], labels: Sequence[str], *, multi_label: bool
) -> None:
    """Check that teachers have the labels of the student.

    Args:
        classifiers: the teachers.
        labels: label names of the student.
        multi_label: whether a text may have several labels.

    Raises:
        ConfigError: a classifier has other labels.
    """
    for one in classifiers:
        if set(one.labels) != set(labels) or one.multi_label != multi_label:
            kinds = ["one label", "any number of labels"]
            raise ConfigError(
                f"the teacher gives a text {kinds[one.multi_label]} of "
                f"{', '.join(one.labels)}; the data has {kinds[multi_label]} of "
                f"{', '.join(labels)}: use a teacher that was trained on the same labels"
            )


def mean_probabilities(
    classifiers: Sequence[TextClassifier],
    splits: Sequence[Split],
    labels: Sequence[str],
    precision: str = "fp32",
) -> Iterator[np.ndarray]:
    """Predict the texts of splits with all classifiers.

    Args:
        classifiers: at least one.
        splits: the texts.
        labels: in which order probabilities are wanted, C of them.
        precision: of the LSTMs, as in `TrainingConfig`.

    Yields:
        The mean of the classifiers' probabilities of some texts, in order, float32 [n, C].
    """
    streams = [one.predict_batches(_texts(splits)) for one in classifiers]
    orders = [[one.labels.index(label) for label in labels] for one in classifiers]
    with contextlib.ExitStack() as stack:
        for one in classifiers:
            stack.enter_context(_computing_in(precision, one))
        for parts in zip(*streams, strict=True):
            ordered = [part[:, order] for part, order in zip(parts, orders, strict=True)]
            yield np.stack(ordered).mean(axis=0)


@contextlib.contextmanager
def _computing_in(precision: str, classifier: TextClassifier) -> Iterator[None]:
    model = classifier.model
    before, model.compute_dtype = model.compute_dtype, pick_precision(precision, classifier.device)
    try:
        yield
    finally:
        model.compute_dtype = before


def _texts(splits: Sequence[Split]) -> Iterator[list[str]]:
    for split in splits:
        yield from split.texts()


def learn_from(
    texts: EncodedTexts,
    splits: Sequence[Split],
    taught: np.ndarray | None,
    weight: float,
) -> LabelledTexts:
    """Put labels and a teacher's probabilities to the training texts.

    Args:
        texts: the texts of all splits, N of them.
        splits: the labelled rows, then those without a label, which get the teacher's most
            probable label for whatever needs one.
        taught: the teacher's probabilities, [N, C], NaN where it says nothing; None for none.
        weight: share of the teacher in the loss of a text with a label.

    Returns:
        What the model learns from.
    """
    train = splits[0]
    if taught is None:
        return LabelledTexts(texts, train.labels)
    known = np.isfinite(taught[:, 0])  # [N]
    shares = np.where(known, np.float32(1 - weight), np.float32(1))
    shares[len(train) :] = 0
    several = train.labels.ndim == 2
    likely = [
        part >= 0.5 if several else part.argmax(axis=1) for part in _parts(taught[len(train) :])
    ]
    if not known.all():
        taught = np.nan_to_num(taught)  # shares of 0 don't make NaN harmless
    return LabelledTexts(
        texts,
        np.concatenate([train.labels, *likely]).astype(train.labels.dtype),
        taught=taught,
        label_shares=shares,
    )


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def teacher_fingerprint(work: Path) -> list[str]:
    """Return the fingerprints of the models that taught a run; none if there was no such model."""
    path = work / _FINGERPRINT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def require_same_teachers(work: Path, classifiers: Sequence[TextClassifier]) -> None:
    """Raise a `TrainingError` if others have taught the run; none were passed to another process.

    Args:
        work: folder of the run.
        classifiers: the teachers.
    """
    begun, asked = teacher_fingerprint(work), [one.fingerprint() for one in classifiers]
    if begun and asked and asked != begun:
        raise TrainingError(
            "the teacher has changed since the run began: use the same one, or start over with "
            "--overwrite"
        )


def write_probabilities(
    work: Path,
    classifiers: Sequence[TextClassifier],
    splits: Sequence[Split],
    labels: Sequence[str],
    precision: str = "fp32",
) -> np.ndarray:
    """Ask the teachers about all texts, unless the run that is resumed has done so.

    Args:
        work: folder of the run.
        classifiers: the teachers; none if they were passed to an earlier process.
        splits: all texts to learn from, N of them.
        labels: label names of the student, C of them.
        precision: as for `mean_probabilities`.

    Returns:
        The probabilities, float32 [N, C], memory-mapped.

    Raises:
        TrainingError: the teacher is not that of the run, or it is needed and not there.
    """
    path, shape = work / PROBABILITIES, (sum(map(len, splits)), len(labels))
    require_same_teachers(work, classifiers)
    if teacher_fingerprint(work) and path.is_file():
        found: np.ndarray = np.load(path, mmap_mode="r")
        if found.shape == shape:
            return found
    if not classifiers:
        raise TrainingError("the teacher of the run was passed as a Python object: pass it again")
    asked = [one.fingerprint() for one in classifiers]
    write_text(work / _FINGERPRINT, json.dumps(asked))
    logger.info("the teacher labels %s texts", f"{shape[0]:,}")
    with atomic_path(path) as temporary:
        array = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
        start = 0
        for part in mean_probabilities(classifiers, splits, labels, precision):
            array[start : start + len(part)] = part
            start += len(part)
        array.flush()
        del array  # on Windows a file that is mapped can't be renamed
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
