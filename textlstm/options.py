"""Options defined once: a frozen dataclass field is the flag, the TOML key and the argument.

A settings class declares each option with `option(default, help, ...)`. This one definition
makes the check of its value, the flag of the command line, the key in a `--config` file and the
keyword in Python; all have the same name.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from textlstm.errors import ConfigError, did_you_mean, require_choice

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    metavar: str | None = None,
    resumable: bool = False,
) -> Any:
    """Declare a field of a settings class.

    Args:
        default: the default value.
        help: one line for `--help`, lower case, without a full stop. The default is appended;
            where it is None and has a meaning, the line ends in '(default: ...)' itself.
        choices: the only strings allowed.
        low: the minimum.
        high: the maximum.
        metavar: the name of the value in `--help`.
        resumable: whether the value may change when a run is resumed.

    Returns:
        A dataclass field that has all of this as its metadata.
    """
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "metavar": metavar}
    return dataclasses.field(default=default, metadata={**metadata, "resumable": resumable})


class Settings:
    """Base of the settings classes: values are checked when an object is made."""

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for field in _fields(self):
            value = _coerce(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
            _check_range(field, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON (tuples become lists)."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in _fields(self)
            for value in [getattr(self, field.name)]
        }


def names_of(*classes: type[Settings]) -> list[str]:
    """Return the names of all options of `classes`, in the order of their definition."""
    return [field.name for cls in classes for field in _fields(cls)]


def resumable_names(*classes: type[Settings]) -> frozenset[str]:
    """Return the options that may change when a run is resumed."""
    return frozenset(
        field.name for cls in classes for field in _fields(cls) if field.metadata["resumable"]
    )


def differences(
    begun: Mapping[str, Any], asked: Mapping[str, Any], ignore: Collection[str] = ()
) -> list[str]:
    """Compare what a run was begun with to what is asked for now.

    Args:
        begun: names and values; a value may be a table of such.
        asked: the same for the run that is asked for.
        ignore: names that may differ.

    Returns:
        One phrase per difference, such as 'batch_size was 64 and is now 32'.
    """
    found = []
    for name in {**begun, **asked}:
        old, new = begun.get(name), asked.get(name)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            found += differences(old or {}, new or {}, ignore)
        elif old != new and name not in ignore:
            found.append(f"{name} was {_shown(old)} and is now {_shown(new)}")
    return found


def _shown(value: Any) -> str:
    if value is None or value == [] or value == ():
        return "absent"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Make a settings object from `values`.

    Args:
        cls: a settings class.
        values: option names and values; other options keep their default.

    Returns:
        The object.

    Raises:
        ConfigError: a name is unknown (the closest known one is named) or a value is not valid.
    """
    reject_unknown(values, names_of(cls))  # type: ignore[arg-type]
    return cls(**values)


def documents(
    *classes: type[Settings], defaults: Mapping[str, Any] | None = None
) -> Callable[[F], F]:
    """Return a decorator that lists the options of `classes` in a function's docstring.

    Args:
        *classes: settings classes.
        defaults: values that are shown instead of the defaults of the classes.
    """
    lines = [
        f"        {field.name}: {describe(field, defaults or {})}"
        for cls in classes
        for field in _fields(cls)
    ]

    def add(function: F) -> F:
        if function.__doc__:
            function.__doc__ = "\n".join([function.__doc__.rstrip(), "", "    Options:", *lines])
        return function

    return add


def reject_unknown(values: Iterable[str], known: Iterable[str]) -> None:
    """Raise a `ConfigError` that lists every name of `values` that is not in `known`."""
    known = list(known)
    unknown = [repr(name) + did_you_mean(name, known) for name in values if name not in known]
    if unknown:
        raise ConfigError(f"unknown option {', '.join(unknown)}; known options: {', '.join(known)}")


def add_flags(
    parser: argparse.ArgumentParser,
    cls: type[Settings],
    title: str,
    *,
    only: Collection[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    hidden: Collection[str] = (),
) -> None:
    """Add a flag for every option of `cls` to `parser`; a flag that is not used sets nothing.

    Args:
        parser: gets the flags, under a heading of their own.
        cls: a settings class.
        title: the heading.
        only: names of the options to add; default: all.
        defaults: values that the help shows instead of the defaults of `cls`.
        hidden: names of options that the help does not show, since the command refuses them with
            a reason.
    """
    group = parser.add_argument_group(title)
    hints = _hints(cls)
    for field in _fields(cls):
        if only is not None and field.name not in only:
            continue
        kind, many = _base_type(hints[field.name])
        flag = "--" + field.name.replace("_", "-")
        help_text = describe(field, defaults or {}).replace("%", "%%")
        help_text = argparse.SUPPRESS if field.name in hidden else help_text
        common: dict[str, Any] = {"default": argparse.SUPPRESS, "help": help_text}
        if kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
            continue
        if many:
            common["nargs"] = "+"
        choices, metavar = field.metadata["choices"], field.metadata["metavar"]
        metavar = "{" + ",".join(choices) + "}" if choices else metavar
        common["metavar"] = metavar or {int: "N", float: "X"}.get(kind, "S")
        group.add_argument(flag, type=_NAMED[kind], **common)


def read_flags(
    arguments: argparse.Namespace, cls: type[T], only: Collection[str] | None = None
) -> T:
    """Make a settings object of the flags of `add_flags`."""
    names = names_of(cls) if only is None else only  # type: ignore[arg-type]
    return build(cls, {name: value for name, value in vars(arguments).items() if name in names})


def _number(kind: type) -> Any:
    def parse(text: str) -> Any:
        return kind(text)

    parse.__name__ = {int: "whole number", float: "number"}[kind]  # argparse prints this name
    return parse


_NAMED = {int: _number(int), float: _number(float), str: str}


def describe(field: dataclasses.Field[Any], defaults: Mapping[str, Any]) -> str:
    """Return the help of an option with its default, that of `defaults` first, if there is one."""
    text, default = field.metadata["help"], defaults.get(field.name, field.default)
    if default is None or default == ():
        return str(text)
    if isinstance(default, bool):
        default = "yes" if default else "no"
    elif isinstance(default, tuple):
        default = " ".join(map(str, default))
    return f"{text} (default: {default})"


def _fields(settings: Settings | type[Settings]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(settings)  # type: ignore[arg-type]


_hints: Callable[[Any], dict[str, Any]] = functools.cache(typing.get_type_hints)


def _base_type(hint: Any) -> tuple[type, bool]:
    """Return (element type, whether it is a tuple of them); `X | None` counts as `X`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """Convert a value from TOML, JSON or Python to the declared type, or say what is wrong."""
    kind, many = _base_type(hint)
    optional = type(None) in typing.get_args(hint)
    if value is None and optional:
        return None
    if many:
        if isinstance(value, str):
            value = (value,)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} = {value!r}: must be a list of {_WORDS[kind][2:]}s")
        return tuple(_coerce(name, item, kind) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name} = {value!r}: must be {_WORDS[kind]}")
    return value


_WORDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    if value is None:
        return
    choices, low, high = (field.metadata[key] for key in ("choices", "low", "high"))
    for item in value if isinstance(value, tuple) else (value,):
        if choices:
            require_choice(field.name, item, choices)
        if low is not None and not item >= low:
            raise ConfigError(f"{field.name} = {item!r}: must be at least {low:,.12g}")
        if high is not None and not item <= high:
            raise ConfigError(f"{field.name} = {item!r}: must be at most {high:,.12g}")
