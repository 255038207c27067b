"""textlstm mistakes MODEL DATA [DATA ...] [OPTION ...]

List the most confident mistakes of a classifier, each with the most similar training text of the
predicted label. Labels that are likely wrong themselves are marked (confident learning, Northcutt
et al. 2021).

A model hides the errors in labels that it was trained on. To find those, pass the training data
as DATA, and --folds N: its train split is divided into N folds, and each is predicted by a model
that was trained on the others, with the settings of MODEL. This takes N trainings.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textlstm.cli.console import messages, say
from textlstm.cli.evaluate import load_split
from textlstm.cli.model import add_model, load_model
from textlstm.cli.parser import add_data, positive
from textlstm.cli.paths import list_names, require_apart, require_data, require_free, require_model
from textlstm.cli.tables import show
from textlstm.config import DATA_OPTIONS, CrossvalConfig, DataConfig
from textlstm.errors import ConfigError
from textlstm.evaluation.tables import Table, shorten
from textlstm.options import add_flags, read_flags

if TYPE_CHECKING:
    import numpy as np

    from textlstm.classifier.classifier import TextClassifier
    from textlstm.classifier.mistakes import Mistakes
    from textlstm.data.corpus import Whole
    from textlstm.data.split import Split

    Predicted = tuple[Split, np.ndarray, Sequence[str], Sequence[float] | None, Split | None]
    """Texts, their probabilities, labels, thresholds, and training texts: for `list_mistakes`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    add_data(parser, "labelled texts, as for evaluate")
    parser.add_argument("--split", help="split of DATA (default: test; with --folds: train)")
    parser.add_argument(
        "--train", metavar="DATA", help="training texts to compare with (default: those in DATA)"
    )
    parser.add_argument(
        "--top", type=positive, default=50, metavar="N", help="rows to list (default: 50)"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write a csv, tsv, json lines or parquet file (default: a short table on stdout)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    add_flags(parser, CrossvalConfig, "folds", defaults={"folds": None})
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    if arguments.out:
        require_free(arguments.out, overwrite=arguments.overwrite)
        require_apart(arguments.out, [*list_names(arguments.data), arguments.train or "-"])
    require_model(arguments.model)
    require_data(arguments.data)
    if arguments.train:
        require_data(arguments.train)
    from textlstm.classifier.mistakes import list_mistakes

    with messages():
        classifier = load_model(arguments)
        predict = _cross_validate if "folds" in arguments else _predict
        predicted = predict(arguments, classifier)
        found = list_mistakes(classifier.tokenizer, *predicted, top=arguments.top)
        if arguments.out:
            _write(found, arguments.out, overwrite=arguments.overwrite)
    if not arguments.out:
        show(mistakes_table(found))
    say(
        f"the model disagrees with {found.mistakes:,} of {found.texts:,} labels; {found.likely:,} "
        "of them are likely wrong"
    )
    if arguments.out:
        say(f"wrote the {len(found.rows):,} most confident ones to {arguments.out}")
    text = shlex.quote(found.rows[0]["text"][:200]) if found.rows else "TEXT"
    say(f"next: textlstm explain {shlex.quote(arguments.model)} {text}")
    return 0


def mistakes_table(found: Mistakes) -> Table:
    """Return mistakes as a table; ! marks a label that is likely wrong."""
    rows = [["", "row", "label", "score", "prediction", "score", "text"]]
    rows += [
        [
            "!" if row["likely_label_error"] else "",
            str(row["row"]),
            shorten(row["label"], 20),
            f"{row['label_score']:.3f}",
            shorten(row["prediction"], 20),
            f"{row['score']:.3f}",
            shorten(row["text"], 60),
        ]
        for row in found.rows
    ]
    colors = {(i, 0): "red" for i in range(1, len(rows))}
    return Table(rows, left=(0, 2, 4, 6), styles=colors)


def _predict(arguments: argparse.Namespace, classifier: TextClassifier) -> Predicted:
    """Predict by the model itself."""
    split = load_split(arguments, classifier)
    training = _training(arguments, classifier)
    if training is not None:
        known = {text.strip() for batch in training.texts() for text in batch}
        texts = itertools.chain.from_iterable(split.texts())
        if seen := sum(text.strip() in known for text in texts):
            say(
                f"warning: {seen:,} of {len(split):,} texts are training texts, whose labels the "
                "model has learned, right or wrong: find errors in them with --folds 5"
            )
    else:
        say("training texts to compare with: none; pass --train DATA")
    probabilities = classifier.predict_proba(itertools.chain.from_iterable(split.texts()))
    return split, probabilities, classifier.labels, classifier.thresholds, training


def _training(arguments: argparse.Namespace, classifier: TextClassifier) -> Split | None:
    """Load the training texts: those of --train, else those that DATA has beside its others."""
    from textlstm.data.sources import find_tables

    source = arguments.train or arguments.data
    if arguments.train is None:
        splits = find_tables(source, read_flags(arguments, DataConfig, DATA_OPTIONS))
        trained_on = source == classifier.record.source
        if (splits.single and not trained_on) or "train" not in splits.splits:
            return None
    options = argparse.Namespace(**{**vars(arguments), "data": source, "split": None})
    return load_split(options, classifier, "train")


def _cross_validate(arguments: argparse.Namespace, classifier: TextClassifier) -> Predicted:
    """Predict by models that have not seen the texts."""
    import numpy as np

    from textlstm.training.crossval import cross_validate
    from textlstm.training.resolve import OF_A_BASE, SIZES

    if arguments.train or arguments.split not in (None, "train"):
        raise ConfigError(
            "--folds predicts the train split of DATA: pass neither --train nor another --split"
        )
    wholes: list[Whole] = []
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    thresholds: list[tuple[float, ...]] = []

    def collect(model: TextClassifier, whole: Whole, rows: np.ndarray) -> None:
        texts = itertools.chain.from_iterable(whole.rows.select(rows).texts())
        wholes.append(whole)
        parts.append((rows, model.predict_proba(texts)))
        if model.thresholds:
            thresholds.append(model.thresholds)

    given = {name: value for name, value in vars(arguments).items() if name in DATA_OPTIONS}
    cut: Any = {"validation": None, "test": None, "test_fraction": 0.0}
    options: Any = {**classifier.settings.to_options(), **given, **cut}
    if options["init_from"] is not None:  # which has them
        options = {k: v for k, v in options.items() if k not in (*OF_A_BASE, *SIZES)}
    cross_validate(arguments.data, folds=arguments.folds, on_model=collect, **options)
    whole = wholes[0]
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    probabilities = np.concatenate([found for _, found in parts])[order]  # [N, C]
    mean = np.mean(thresholds, axis=0).tolist() if thresholds else None
    return whole.rows, probabilities, whole.labels, mean, whole.rows


def _write(found: Mistakes, out: str, *, overwrite: bool) -> None:
    import pyarrow as pa

    from textlstm.io.output import RowOutput, Target
    from textlstm.io.writers import OutputRow

    rows = [OutputRow({}, row) for row in found.rows]
    kinds = {"row": pa.int64(), "score": pa.float64(), "label_score": pa.float64()}
    kinds["likely_label_error"] = pa.bool_()
    names = ("row", "text", "label", "prediction", "score", "label_score")
    columns = [*names, "likely_label_error", "nearest_text"]
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    with RowOutput(Target.of_path(out), schema) as output:
        output.open({}, {}, overwrite=overwrite, resume=False)
        output.commit(output.encoder.encode(rows), len(rows), {})
        output.finish({}, overwrite=overwrite)
