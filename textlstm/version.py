"""The version of textlstm."""

__version__ = "0.1.0"
