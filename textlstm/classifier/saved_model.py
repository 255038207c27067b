"""A model as one object: read from a folder or the Hub, written, pickled, hashed, described."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save

from textlstm.classifier.hub import find_model, upload_model
from textlstm.classifier.model_card import model_card
from textlstm.classifier.model_folder import RunRecord, check_compatible, read_folder, write_folder
from textlstm.classifier.notebook import History, Metrics, facts_table
from textlstm.config import ModelConfig, TrainSettings
from textlstm.errors import ConfigError
from textlstm.evaluation.cascade import Cascade, Shortcut, find_shortcut
from textlstm.nn.device import mind_fork, pick_device, pick_precision
from textlstm.nn.network import BiLSTMClassifier, network_of
from textlstm.options import build
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from typing_extensions import Self

PackedModel = tuple[dict[str, Any], bool, bytes]
"""The shape of a network as options, whether it is multi-label, and its weights as safetensors."""

_LETTERS = 16  # of a fingerprint


class SavedModel:
    """A trained network with the tokenizer and the labels that belong to it.

    Arguments and errors are those of `TextClassifier`, which predicts.
    """

    def __init__(
        self,
        model: BiLSTMClassifier,
        tokenizer: TextTokenizer,
        labels: Sequence[str],
        settings: TrainSettings,
        *,
        thresholds: Sequence[float] | None = None,
        cascade: Cascade | None = None,
        record: RunRecord | None = None,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        if isinstance(labels, str):
            raise ConfigError(f"labels = {labels!r}: must be a list of strings")
        self.labels = tuple(labels)
        self.thresholds = None if thresholds is None else tuple(thresholds)
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.cascade = cascade
        self.record = record or RunRecord()
        check_compatible(self)
        self.model = model.to(pick_device(device)).eval()
        self.model.compute_dtype = pick_precision(precision, self.device)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> Self:
        """Load a model folder.

        Args:
            folder: written by `textlstm train` or `save`.
            device: 'auto' (a GPU if there is one), 'cpu', 'cuda' or 'cuda:N'.
            precision: of the LSTM: 'fp32', 'bf16', or 'auto' (bf16 where native).
            threads: CPU threads of torch, in the whole process; None leaves them as they are.

        Returns:
            The classifier.

        Raises:
            ModelFolderError: the folder or a file of it is missing, unfinished, damaged or
                foreign; the message names the file and the remedy.
            ConfigError: there is no such device, or `threads` is below 1.
        """
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads = {threads}: must be at least 1")
            torch.set_num_threads(threads)
        pick_device(device)  # a wrong name is refused before the model is loaded
        return cls(**read_folder(folder), device=device, precision=precision)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> Self:
        """Load a model of the Hugging Face Hub, or a model folder.

        Args:
            name_or_folder: a folder; or, if none has this name, 'owner/name' on the Hub. Its
                files are kept in the Hub's cache, which is used when the Hub is out of reach.
                None of them is code.
            revision: branch, tag or commit on the Hub; its main branch if not given.
            token: of the Hub, for models that are not public; the one logged in with if not
                given.
            device: as for `load`.
            precision: as for `load`.
            threads: as for `load`.

        Returns:
            The classifier.

        Raises:
            ModelFolderError: as for `load`; or the Hub has no such model, or it is out of reach
                and there is no copy.
            ConfigError: there is no such device, or a folder is given with a revision.
        """
        folder = find_model(name_or_folder, revision=revision, token=token)
        return cls.load(folder, device=device, precision=precision, threads=threads)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        message: str | None = None,
    ) -> str:
        """Upload the model folder with its model card to the Hugging Face Hub.

        Args:
            repo_id: 'owner/name', or 'name' for one of the user's own; created if it is missing.
            private: whether a new repository is private; None for the default of the account.
            token: of the Hub, with write access; that of the login if not given.
            message: commit message.

        Returns:
            The address of the model.

        Raises:
            ConfigError: a part was replaced by one that does not fit, such as its labels.
            OutputError: the Hub is out of reach or refuses it.
        """
        check_compatible(self)

        def write(folder: Path, name: str) -> None:
            write_folder(folder, self, card=model_card(name, self.describe(), on_hub=True))

        return upload_model(write, repo_id, private=private, token=token, message=message)

    def save(self, folder: str | Path) -> None:
        """Write the model folder, its model card included.

        Args:
            folder: created if it is missing. A model in it is replaced as a whole; other files
                are kept.

        Raises:
            ConfigError: a part was replaced by one that does not fit, such as its labels.
            OutputError: the folder can't be written to; a model that was there is unchanged.
        """
        check_compatible(self)
        folder = Path(folder)
        card = model_card(folder.resolve().name, self.describe())
        write_folder(folder, self, card=card)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as plain bytes and settings, so that no object of torch is inside."""
        options = {
            "thresholds": self.thresholds,
            "cascade": self.cascade,
            "record": self.record,
            "device": "cpu" if self.device.type == "cpu" else "auto",  # that GPU may not be there
            "precision": "fp32" if self.model.compute_dtype == torch.float32 else "bf16",
        }
        parts = (pack(self.model), self.tokenizer, self.labels, self.settings.to_dict())
        return _unpacked, (type(self), *parts, options)

    def shortcut(self, share: float | None) -> Shortcut | None:
        """Return which texts a cascade skips; see `textlstm.evaluation.cascade.find_shortcut`."""
        ngrams = self.settings.model.ngrams
        return find_shortcut(share, self.cascade, self.thresholds, ngrams=ngrams)

    def fingerprint(self) -> str:
        """Return a hash of all that results depend on, but for the machine that computes them.

        Of the settings those of the tokenizer and the network count, and of the network the
        weights and the numbers that it computes in.

        Returns:
            16 hexadecimal digits.
        """
        tables, thresholds = self.settings.to_dict(), self.thresholds
        known: list[Any] = [list(self.labels), tables["tokenizer"], tables["model"]]
        known += [str(self.model.compute_dtype), None if thresholds is None else list(thresholds)]
        known += [] if self.cascade is None else [self.cascade.to_dict()]
        digest = hashlib.sha256(json.dumps(known).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        with tempfile.TemporaryDirectory(prefix="textlstm-") as folder:
            path = Path(folder) / "tokenizer.json"
            self.tokenizer.save(path)
            digest.update(path.read_bytes())
        return digest.hexdigest()[:_LETTERS]

    def describe(self) -> dict[str, Any]:
        """Return the facts of the classifier, ready for JSON.

        Returns:
            labels, multi_label, thresholds, sizes, settings, data, training, metrics (per split)
            and versions.
        """
        record = self.record
        return {
            "labels": list(self.labels),
            "multi_label": self.multi_label,
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "sizes": {
                "vocabulary": len(self.vocabulary),
                "parameters": sum(tensor.numel() for tensor in self.model.state_dict().values()),
            },
            "settings": self.settings.to_dict(),
            "data": record.data(),
            "training": dict(record.training),
            "metrics": {split: dict(metrics) for split, metrics in record.metrics.items()},
            "versions": dict(record.versions),
        }

    @property
    def multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.model.multi_label

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the network knows, with their counts."""
        return self.tokenizer.vocabulary

    @property
    def metrics(self) -> Mapping[str, Metrics]:
        """Results of the training run, per split; see `Metrics.plot_confusion`."""
        return {split: Metrics(figures) for split, figures in self.record.metrics.items()}

    @property
    def history(self) -> History:
        """One record per epoch of the training run, such as its `validation_accuracy`."""
        history = History(self.record.history)
        history.best_epoch = self.record.training.get("best_epoch", 0)
        return history

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.model.linear.weight.device

    def __repr__(self) -> str:
        shape = self.model.config
        names = ", ".join(self.labels[:5]) + (", …" if len(self.labels) > 5 else "")
        return (
            f"{type(self).__name__}({len(self.labels)} labels: {names}; "
            f"{self.tokenizer.kind} tokenizer, {len(self.vocabulary):,} entries; "
            f"{shape.num_layers} x {shape.hidden_size} {'Bi' * shape.bidirectional}LSTM, "
            f"{shape.pooling} pooling; on {self.device})"
        )

    def _repr_html_(self) -> str:
        """Return the facts of the model as a table."""
        return facts_table(self.describe())


def pack(model: BiLSTMClassifier) -> PackedModel:
    """Return a network as a dictionary and bytes; equal networks give equal bytes."""
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return model.config.to_dict(), model.multi_label, save(weights)


def unpack(packed: PackedModel) -> BiLSTMClassifier:
    """Rebuild the network, on the CPU and in evaluation mode."""
    mind_fork()  # making a network computes
    config, multi_label, data = packed
    return network_of(load(data), build(ModelConfig, config), multi_label=multi_label)


def _unpacked(
    kind: type[SavedModel],
    model: PackedModel,
    tokenizer: TextTokenizer,
    labels: Sequence[str],
    settings: dict[str, dict[str, Any]],
    options: dict[str, Any],
) -> SavedModel:
    return kind(unpack(model), tokenizer, labels, TrainSettings.from_dict(settings), **options)
