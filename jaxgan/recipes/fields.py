"""Fields of a part: their types and ranges, checked with one line that names field, value and what is allowed."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal

from jaxgan.system.messages import FieldError, not_one_of, shown


@dataclass(frozen=True)
class Within:
    """The range of a number, both ends included: `width: Annotated[int, Within(1, 4096)] = 64`.

    The upper ends of the library's own fields catch a slip of the hand before it fills the memory.
    """

    least: float
    most: float


def annotations(kind: type) -> dict[str, Any]:
    """Returns the annotations of a dataclass's fields, ranges included; `Any` for those that cannot be resolved."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that exist only where the class was written
        hints = {}
    return {each.name: hints.get(each.name, Any) for each in dataclasses.fields(kind)}


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields `(path, value, annotation)` of each field of a dataclass, those of dataclasses in it included."""
    hints = annotations(type(value))
    for item in dataclasses.fields(value):
        inner = getattr(value, item.name)
        if dataclasses.is_dataclass(inner) and not isinstance(inner, type):
            yield from leaves(inner, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, inner, hints[item.name]


def check(value: Any, prefix: str = "") -> None:
    """Refuses a dataclass with a field of another type or out of its range.

    Args:
        value: a part, or any other dataclass.
        prefix: of the fields' paths in messages, with its dot.

    Raises:
        FieldError: for the first such field.
    """
    for path, inner, annotation in leaves(value, prefix):
        _check_value(path, inner, annotation)


def _check_value(path: str, value: Any, annotation: Any) -> None:
    within = None
    if typing.get_origin(annotation) is Annotated:
        annotation, *extras = typing.get_args(annotation)
        within = next((extra for extra in extras if isinstance(extra, Within)), None)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, UnionType):
        _check_union(path, value, annotation, within)
    elif origin is tuple:
        if not isinstance(value, tuple):
            raise FieldError(path, shown(value), "it must be a tuple")
        items = typing.get_args(annotation)
        for i, item in enumerate(value):
            each = items[0] if items[-1] is Ellipsis else items[min(i, len(items) - 1)]
            _check_value(path, item, Annotated[each, within] if within else each)
    elif origin is Literal:
        allowed = typing.get_args(annotation)
        if value not in allowed:
            raise not_one_of(path, value, map(str, allowed))
    elif annotation in (int, float, str, bool):
        _check_plain(path, value, annotation, within)
    elif isinstance(value, float) and not math.isfinite(value):
        raise FieldError(path, value, "it must be finite")


def _check_union(path: str, value: Any, annotation: Any, within: Within | None) -> None:
    kinds = [kind for kind in typing.get_args(annotation) if kind is not NoneType]
    if value is None and len(kinds) < len(typing.get_args(annotation)):
        return None
    errors = []
    for kind in kinds:
        try:
            return _check_value(path, value, Annotated[kind, within] if within else kind)
        except FieldError as error:
            errors.append(error)
    raise errors[0]


def _check_plain(path: str, value: Any, annotation: type, within: Within | None) -> None:
    kinds = (int, float) if annotation is float else (annotation,)
    if type(value) not in kinds:  # a bool is an int to isinstance
        raise FieldError(path, shown(value), f"it must be of type {annotation.__name__}")
    if within is not None and not within.least <= value <= within.most:  # NaN is in no range
        raise FieldError(path, value, f"it must be from {within.least:,} to {within.most:,}")
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldError(path, value, "it must be finite")
