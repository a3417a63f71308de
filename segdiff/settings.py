"""From plain values, as configuration files hold them, to dataclasses of settings and back; how two of them differ."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from segdiff.errors import ConfigError

T = TypeVar("T")
ABSENT = object()


def read_settings(kind: type[T], group: str, given: Any) -> T:
    """Read the dataclass `kind` of a configuration group; a field that is a dataclass itself takes a mapping.

    Args:
        kind: a dataclass.
        group: the name that its keys have before them in messages; empty for a whole configuration.
        given: plain values.
    Raises:
        ConfigError: not a mapping, a key that is not known or is missing, or a value of another type or that cannot be.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"{group or 'the configuration'}={given}: expected a mapping of settings")
    prefix = f"{group}." if group else ""
    declared = fields(kind)  # type: ignore[arg-type]
    known = [f.name for f in declared]
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ConfigError(f"{prefix}{unknown[0]} is not known; known: {', '.join(known)}")
    hints = get_type_hints(kind)
    values = {}
    for key, value in given.items():
        hint = hints[key]
        if isinstance(hint, type) and is_dataclass(hint) and not isinstance(value, hint):
            value = read_settings(hint, f"{prefix}{key}", value)
        _check_type(f"{prefix}{key}", value, hint)
        values[key] = value
    for f in declared:
        if f.name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise ConfigError(f"{prefix}{f.name} must be given")
    return kind(**values)


def plain(value: Any) -> Any:
    """Return mappings, lists, text and numbers only, as YAML and JSON hold them; a dataclass becomes a mapping."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value  # a number of numpy or torch


def changed(options: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of a dataclass of options with other values, by the names of its fields.

    Those of a `prediction` in it (`segdiff.inference.options.PredictOptions`) go by their own names, too.

    Raises:
        ConfigError: a name that is not known, or a value that the options refuse.
    """
    own = [f.name for f in fields(options)]  # type: ignore[arg-type]
    inner = getattr(options, "prediction", None)
    known = [*own, *(f.name for f in fields(inner))] if inner is not None else own
    for name in changes:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(f"{name} is not known" + (f", did you mean {close[0]}?" if close else ""))
    values = {name: value for name, value in changes.items() if name in own}
    rest = {name: value for name, value in changes.items() if name not in own}
    if rest:
        values["prediction"] = changed(values.get("prediction", inner), rest)
    return replace(options, **values) if values else options  # type: ignore[type-var]


def differences(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """ "trainer.max_steps=60 there, 70 here" for each value that differs, by its dotted key."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from differences(old.get(name, ABSENT), new.get(name, ABSENT), f"{key}.{name}" if key else str(name))
    elif old != new:
        shown = ["none" if value is ABSENT else value for value in (old, new)]
        yield f"{key}={shown[0]} there, {shown[1]} here"


def _check_type(name: str, value: Any, hint: Any) -> None:
    """ConfigError unless the value has one of the types of a hint such as `int | None` or `tuple[int, ...]`."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name}={value}: expected a finite number")
    if not _is(value, hint):
        raise ConfigError(f"{name}={value}: expected {_describe(hint)}")


def _is(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_is(value, choice) for choice in get_args(hint))
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is not None and issubclass(origin, Sequence):
        items = [arg for arg in get_args(hint) if arg is not Ellipsis]
        if not isinstance(value, (list, tuple)):
            return False
        return all(any(_is(one, item) for item in items) for one in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float)) if hint is float else isinstance(value, hint)


def _describe(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(_describe(choice) for choice in get_args(hint))
    if origin is not None:
        return "a mapping of settings" if issubclass(origin, Mapping) else "a list"
    names = {type(None): "null", int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))
