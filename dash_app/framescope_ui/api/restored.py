"""Views back from the JSON values that ``plain`` makes of them: the way home of a frame that was pinned."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

View = TypeVar("View")


def restored(view: type[View], values: Any) -> View:
    """A view of this type from its values. A field that the values lack takes its default, one that the
    type lacks is passed over: copies outlive the version that made them.

    Raises ``ValueError`` where the values cannot be such a view.
    """
    try:
        made: View = _value(view, values)
    except (TypeError, KeyError) as error:
        raise ValueError(f"this is no {view.__name__}: {error}") from error
    return made


def _value(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (Any, object) or origin is Literal:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _value(next(one for one in inner if one is not type(None)), value)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, not {type(value).__name__}")
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_value(one, item) for one, item in zip(kinds, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {str(key): _value(inner[1], item) for key, item in value.items()}
    if origin is not None and issubclass(origin, Sequence):
        if not isinstance(value, list):
            raise TypeError(f"expected a list, not {type(value).__name__}")
        return [_value(inner[0], item) for item in value]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _dataclass(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, not {type(value).__name__}")
    hints = get_type_hints(kind)
    return kind(
        **{one.name: _value(hints[one.name], value[one.name]) for one in fields(kind) if one.name in value}
    )
