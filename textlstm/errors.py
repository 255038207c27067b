"""Errors that a user can cause: one family, each naming the value, the rule and the remedy.

The command line prints the message of any of them in one line and exits with 2. A bug in
this library is never one of them.
"""

from __future__ import annotations


class TextLSTMError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(TextLSTMError, ValueError):
    """A setting has a value that it can't have, or does not exist."""


class DataError(TextLSTMError, ValueError):
    """The data can't be found, read or used."""


class VocabularyError(TextLSTMError, ValueError):
    """A vocabulary or tokenizer is malformed or does not fit."""


class ModelFolderError(TextLSTMError, OSError):
    """A model folder is missing, incomplete, damaged or not ours."""


class OutputError(TextLSTMError, OSError):
    """A result can't be written where it was asked for."""


class TrainingError(TextLSTMError, RuntimeError):
    """Training can't go on."""


class PeerError(TrainingError):
    """Another process of the same training has failed or gone; that one tells why."""


class ExportError(TextLSTMError, RuntimeError):
    """A model can't be exported as asked, or the export is not equal to the model."""


class MissingDependencyError(TextLSTMError, ImportError):
    """An optional library is needed and not installed."""
