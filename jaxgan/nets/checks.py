"""A network's fields, checked where the network is made; NumPy's numbers become Python's, and lists become tuples."""

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxgan.system.messages import FieldError, not_one_of, shown

_MOST = 2**24  # of any count: channels, classes, sides


def check_counts(
    network: Any, bounds: Mapping[str, int | tuple[int, int]], *, optional: Mapping[str, str] | None = None
) -> None:
    """Refuses a field that is no whole number, or lies outside its bounds.

    Args:
        network: a module; NumPy's whole numbers become Python's `int`, since products of NumPy's may overflow.
        bounds: of each field the least value, or the least and the greatest.
        optional: fields that may be None, and what that means.

    Raises:
        FieldError: naming the field.
    """
    for name, value, or_none in _given(network, bounds, optional):
        bound = bounds[name]
        if not is_whole(value):
            raise FieldError(name, shown(value), f"it must be a whole number{or_none}")
        least, most = bound if isinstance(bound, tuple) else (bound, None)
        if value < least or (most is not None and value > most):
            from_zero = "0 (unconditional) or more" if name == "classes" else "0 or more"
            allowed = f"from {least} to {most}" if most is not None else f"at least {least}" if least else from_zero
            raise FieldError(name, value, f"it must be {allowed}{or_none}")
        _bounded(name, [value], value)
        _keep(network, name, int(value))


def check_lists(network: Any, *names: str, or_one: Collection[str] = ()) -> None:
    """Refuses a field that is no sequence of whole numbers, or that holds a number above 2^24.

    The network itself checks how many numbers there are, and how small they may be.

    Args:
        network: a module; a list becomes a tuple, so that the module can be hashed.
        names: of the fields.
        or_one: those among them that may be a whole number too.

    Raises:
        FieldError: naming the field.
    """
    for name in names:
        value = getattr(network, name)
        if name in or_one and is_whole(value):
            _bounded(name, [value], value)
            _keep(network, name, int(value))
            continue
        if not isinstance(value, tuple | list) or not all(map(is_whole, value)):
            one = "a whole number, or " if name in or_one else ""
            raise FieldError(name, shown(value), f"it must be {one}a tuple of whole numbers")
        _bounded(name, value, value)
        _keep(network, name, tuple(map(int, value)))


def check_numbers(
    network: Any, bounds: Mapping[str, tuple[float, float]], *, optional: Mapping[str, str] | None = None
) -> None:
    """Refuses a field that is no finite number, or lies outside its bounds.

    Args:
        network: a module; NumPy's numbers become Python's.
        bounds: of each field `(least, most)`, both included; where `most` is infinite, any number above `least`.
        optional: fields that may be None, and what that means.

    Raises:
        FieldError: naming the field.
    """
    for name, value, or_none in _given(network, bounds, optional):
        least, most = bounds[name]
        if not _is_finite(value):
            raise FieldError(name, shown(value), f"it must be a finite number{or_none}")
        if value > most or value < least or (value == least and math.isinf(most)):
            allowed = f"above {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
            raise FieldError(name, value, f"it must be {allowed}{or_none}")
        _keep(network, name, float(value))


def check_flags(network: Any) -> None:
    """Refuses a field declared as `bool` that is neither True nor False.

    Raises:
        FieldError: naming the field.
    """
    for field in dataclasses.fields(network):
        value = getattr(network, field.name)
        if field.type is bool:
            if not isinstance(value, bool | np.bool_):
                raise FieldError(field.name, shown(value), "it must be True or False")
            _keep(network, field.name, bool(value))


def check_word(network: Any, name: str, allowed: Iterable[str], *, notes: Mapping[str, str] | None = None) -> None:
    """Refuses a field that is none of some words.

    Args:
        network: a module.
        name: of the field.
        allowed: the words.
        notes: what to tell about words that other networks take.

    Raises:
        FieldError: naming the field.
    """
    value, allowed = getattr(network, name), tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise not_one_of(name, value, allowed, note=(notes or {}).get(value, "") if isinstance(value, str) else "")


def is_whole(value: Any) -> bool:
    """Returns whether a value is a whole number; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _given(network: Any, names: Iterable[str], optional: Mapping[str, str] | None) -> Iterator[tuple[str, Any, str]]:
    """Yields name, value and the meaning of None in words, for each field; skips an optional field that is None."""
    for name in names:
        value, meaning = getattr(network, name), (optional or {}).get(name)
        if value is not None or meaning is None:
            yield name, value, "" if meaning is None else f", or None for {meaning}"


def _bounded(name: str, numbers: Iterable[int], value: Any) -> None:
    """Refuses counts that no network can have: so many layers or weights would fill any memory before anything is said."""
    if max(numbers, default=0) > _MOST:
        raise FieldError(name, value, f"it must be at most {_MOST:,}")


def _is_finite(value: Any) -> bool:
    """Returns whether a value is a finite number; True and False are none."""
    try:
        number = isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)
        return number and math.isfinite(value)
    except OverflowError:  # an integer beyond a float's range
        return False


def _keep(network: Any, name: str, value: Any) -> None:
    object.__setattr__(network, name, value)  # a module is frozen once it is made
