"""One whole training run: data, tokenizer, encoding, training, evaluation, model folder."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.model_folder import FILES, RunRecord
from textlstm.config import TrainSettings
from textlstm.data.corpus import Corpus, Source, Split, load_corpus
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.errors import ConfigError, DataError, OutputError
from textlstm.nn.loss import make_loss
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import Vocabulary
from textlstm.training.distributed import ALONE, World, join
from textlstm.training.fit import Fitted, fit_model
from textlstm.training.pretrained import (
    Pretrained,
    can_skip_reading,
    read_pretrained,
    settings_with_vectors,
    with_whole_path,
)
from textlstm.training.run_folder import RunFolder, RunRequest, resumed_settings
from textlstm.training.trainer import Observer

logger = logging.getLogger(__name__)


def train(
    source: Source | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
    **options: Any,
) -> TextClassifier:
    """Train a classifier, from the data to the model folder.

    Args:
        source: the data: 'sample', a file, a folder, a Hub dataset name, or Python objects (see
            `textlstm.load_corpus`). May be left out where a run is resumed, unless it was
            Python objects.
        out: the model folder, new or empty; None keeps the model in memory only.
        resume: go on with the unfinished run in `out`; if there is nothing in `out`, begin one;
            if the run there has ended, give its classifier.
        overwrite: replace the model or run in `out`, once the new data was read and is good.
        observer: told of every step and epoch.
        **options: settings by name, as the flags of `textlstm train`.

    Returns:
        The classifier with the weights of the best epoch.

    Raises:
        TextLSTMError: something that the caller can mend; see `textlstm.errors`.
        TrainingInterrupted: Ctrl-C or SIGTERM; a run with `out` can be resumed.
    """
    options = with_whole_path(options)
    world = join()
    if out is None:
        return _train_in_memory(source, options, resume or overwrite, observer, world)
    with contextlib.ExitStack() as held:
        with world.main_first():
            folder = RunFolder(out)
            if world.is_main:
                held.enter_context(folder.held())
                run = _begin(folder, source, options, resume, overwrite, world)
            else:
                run = _take_part(folder, source, world)
            if isinstance(run, TextClassifier):
                return run
            texts = _encode(run, folder.cache)
        return _run(run, texts, folder.cache, folder, observer, world)


def _train_in_memory(
    source: Source | None,
    options: dict[str, Any],
    told_of_folder: bool,
    observer: Observer | None,
    world: World,
) -> TextClassifier:
    """Train without a folder; of several processes each prepares all by itself."""
    if told_of_folder:
        raise ConfigError("resume and overwrite need a model folder: give out")
    if source is None:
        raise ConfigError("source is missing: name the data to train on, for example 'sample'")
    settings = settings_with_vectors(options)
    world.device(settings.training.device)
    corpus = load_corpus(source, settings.data, seed=settings.training.seed)
    return train_on(corpus, settings, observer=observer, world=world)


def train_on(
    corpus: Corpus,
    settings: TrainSettings,
    *,
    observer: Observer | None = None,
    world: World = ALONE,
) -> TextClassifier:
    """Train in memory on a corpus that is loaded; what `train` does after it has read the data.

    Args:
        corpus: the splits.
        settings: of tokenizer, model and training; with vectors, `embedding_size` is theirs.
        observer: told of every step and epoch.
        world: the processes that train it together.

    Returns:
        The classifier with the weights of the best epoch, judged on validation and test.

    Raises:
        TextLSTMError: a setting is no good, or training can't go on.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    prepared = _prepare_corpus(corpus, settings, None)
    # on Windows a file that is still mapped can't be removed
    with tempfile.TemporaryDirectory(prefix="textlstm-", ignore_cleanup_errors=True) as name:
        cache = Path(name)
        return _run(prepared, _encode(prepared, cache), cache, None, observer, world)


@dataclass(frozen=True)
class _Prepared:
    """What training takes, read and found good.

    Args:
        settings: of the run.
        corpus: the texts.
        tokenizer: trained on them, or taken from the run that is resumed.
        pretrained: vectors to begin with, if any are asked for and training has not begun.
    """

    settings: TrainSettings
    corpus: Corpus
    tokenizer: TextTokenizer
    pretrained: Pretrained | None = None


def _begin(
    folder: RunFolder,
    source: Source | None,
    options: dict[str, Any],
    resume: bool,
    overwrite: bool,
    world: World,
) -> _Prepared | TextClassifier:
    """Begin or resume a run in a folder; if the run there has ended, give its classifier."""
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other: give one of them")
    anew = not resume or (folder.is_empty() and source is not None)
    if not anew:
        begun = folder.read_request()
        settings = resumed_settings(folder.path, begun.settings, options)
        if folder.is_finished():
            logger.info("the run in %s has ended: there is nothing to resume", folder.path)
            folder.finish()
            return TextClassifier.load(folder.path, device=settings.training.device)
        request = RunRequest(begun.source if source is None else _again(source), settings)
        source = request.source if source is None else source
        if source is None:
            raise ConfigError(
                f"the run in {folder.path} was given its data as Python objects: pass them again"
            )
        prepared = _prepare(source, settings, folder, world)
    else:
        if source is None:
            raise ConfigError("the data is missing: name what to train on, for example 'sample'")
        folder.require_free(overwrite=overwrite)
        settings = settings_with_vectors(options)
        request = RunRequest(_again(source), settings)
        prepared = _prepare_first(source, request, folder, world)
    request = dataclasses.replace(request, fingerprint=prepared.corpus.fingerprint)
    folder.take_over(request, anew=anew)
    _save_tokenizer(prepared.tokenizer, folder)
    return prepared


def _take_part(
    folder: RunFolder, source: Source | None, world: World
) -> _Prepared | TextClassifier:
    """Join the run that the first process has begun or found in a folder; write nothing."""
    if not (folder.is_unfinished() or folder.is_finished()):
        raise OutputError(
            f"process {world.rank} finds no run in {folder.path}, where the first process has "
            "one: all need the same folder, on a disk that they share"
        )
    begun = folder.read_request()
    settings = begun.settings
    if folder.is_finished():
        return TextClassifier.load(folder.path, device=settings.training.device)
    world.device(settings.training.device)
    source = source if begun.source is None else begun.source
    assert source is not None  # the first process has read it
    corpus = load_corpus(source, settings.data, seed=settings.training.seed)
    if corpus.fingerprint != begun.fingerprint:
        raise DataError(
            f"process {world.rank} reads other data from {corpus.source} than the first process: "
            "all need the same"
        )
    return _Prepared(settings, corpus, _load_tokenizer(settings, folder))


def _again(source: Source) -> str | None:
    """Give what the data can be read by in another process, started in another folder."""
    if not isinstance(source, str | os.PathLike):
        return None
    exists = Path(source).exists() and str(source) != "sample"
    return str(Path(source).absolute()) if exists else str(source)


def _prepare_first(
    source: Source, request: RunRequest, folder: RunFolder, world: World
) -> _Prepared:
    """Prepare a new run; it can be resumed from now on, unless something is wrong with it."""
    new = folder.is_empty()
    if new:
        folder.write_request(request)
    try:
        return _prepare(source, request.settings, None, world)
    except BaseException:
        if new:
            folder.give_up()
        raise


def _prepare(
    source: Source, settings: TrainSettings, resumed: RunFolder | None, world: World
) -> _Prepared:
    """Read and check all that can be wrong, before any file is replaced."""
    world.device(settings.training.device)
    corpus = load_corpus(source, settings.data, seed=settings.training.seed)
    return _prepare_corpus(corpus, settings, resumed)


def _prepare_corpus(
    corpus: Corpus, settings: TrainSettings, resumed: RunFolder | None
) -> _Prepared:
    for note in corpus.notes:
        logger.info("%s", note)
    make_loss(settings.training, corpus.train.labels, corpus.labels)  # checks the class weights
    counts = ", ".join(f"{len(split):,} {name}" for name, split in _splits(corpus).items())
    labels = ", ".join(corpus.labels[:10]) + (", …" if len(corpus.labels) > 10 else "")
    logger.info("texts: %s; %d labels: %s", counts, len(corpus.labels), labels)
    if resumed is not None and resumed.has_begun() and _tokenizer_path(resumed).is_file():
        tokenizer = _load_tokenizer(settings, resumed)
        if can_skip_reading(resumed.checkpoint, resumed.cache):
            return _Prepared(settings, corpus, tokenizer)
        return _Prepared(settings, corpus, *read_pretrained(settings, tokenizer, extend=False))
    logger.info("building the vocabulary")
    tokenizer = TextTokenizer.train(corpus.train.texts, settings.tokenizer)
    return _Prepared(settings, corpus, *read_pretrained(settings, tokenizer, extend=True))


def _splits(corpus: Corpus) -> dict[str, Split]:
    splits = {"train": corpus.train, "validation": corpus.validation}
    return splits if corpus.test is None else {**splits, "test": corpus.test}


def _tokenizer_path(folder: RunFolder) -> Path:
    return folder.path / FILES.tokenizer


def _load_tokenizer(settings: TrainSettings, folder: RunFolder) -> TextTokenizer:
    return TextTokenizer.load(
        _tokenizer_path(folder),
        max_length=settings.tokenizer.max_length,
        truncation=settings.tokenizer.truncation,
        vocabulary=Vocabulary.load(folder.path / FILES.vocabulary),
    )


def _save_tokenizer(tokenizer: TextTokenizer, folder: RunFolder) -> None:
    """Keep the tokenizer for a resume."""
    if not _tokenizer_path(folder).is_file():
        tokenizer.vocabulary.save(folder.path / FILES.vocabulary)
        tokenizer.save(_tokenizer_path(folder))  # last: where it is, both are


def _encode(prepared: _Prepared, cache: Path) -> dict[str, LabelledTexts]:
    """Encode all splits to disk."""
    return {
        name: LabelledTexts(_encoded(split, name, prepared.tokenizer, cache), split.labels)
        for name, split in _splits(prepared.corpus).items()
    }


def _run(
    prepared: _Prepared,
    texts: Mapping[str, LabelledTexts],
    cache: Path,
    folder: RunFolder | None,
    observer: Observer | None,
    world: World,
) -> TextClassifier:
    """Train and evaluate; with a folder, save there."""
    corpus, tokenizer, settings = prepared.corpus, prepared.tokenizer, prepared.settings
    unknown = round(float(texts["validation"].texts.unknown_share()), 6)
    logger.info(
        "vocabulary: %s entries; %.2f%% of the tokens in validation are unknown",
        f"{len(tokenizer.vocabulary):,}",
        100 * unknown,
    )
    fitted = fit_model(
        texts,
        corpus.labels,
        settings,
        vocab_size=len(tokenizer.vocabulary),
        pretrained=prepared.pretrained,
        cache=cache,
        folder=folder,
        observer=observer,
        world=world,
    )
    # prediction shall find the column that was guessed here
    data = dataclasses.replace(settings.data, text_column=corpus.train.columns)
    classifier = TextClassifier(
        fitted.model,
        tokenizer,
        corpus.labels,
        dataclasses.replace(settings, data=data),
        thresholds=fitted.thresholds,
        record=_record(corpus, texts, fitted, {"unknown_tokens_in_validation": unknown}),
        device=settings.training.device,
    )
    with world.main_first():  # none goes on before the folder is whole
        if folder is not None and world.is_main:
            classifier.save(folder.path)
            if fitted.result.reason != "max minutes":  # such a run can go on
                folder.finish()
    return classifier


def _encoded(split: Split, name: str, tokenizer: TextTokenizer, cache: Path) -> EncodedTexts:
    """Encode a split to disk, or open what the resumed run has encoded."""
    with contextlib.suppress(DataError):
        encoded = EncodedTexts.open(cache, name)
        if len(encoded) == len(split):
            return encoded
    logger.info("encoding %s", name)
    batches = (tokenizer.encode_batch(texts) for texts in split.texts())
    return EncodedTexts.write(cache, name, batches)


def _record(
    corpus: Corpus,
    texts: Mapping[str, LabelledTexts],
    fitted: Fitted,
    facts: Mapping[str, Any],
) -> RunRecord:
    """Put down what the model card tells."""
    return RunRecord(
        source=corpus.source,
        fingerprint=corpus.fingerprint,
        dataset_id=corpus.dataset_id,
        rows={name: len(split) for name, split in texts.items()},
        notes=tuple(corpus.notes),
        training={**fitted.course(), **facts, **fitted.facts},
        metrics=fitted.metrics,
        history=tuple(fitted.result.history),
    )
