"""Whole numbers among a network's fields, checked where the network is made."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from jaxgan.system.messages import FieldError


def check_counts(network: Any, bounds: Mapping[str, int | tuple[int, int]], *, optional: Collection[str] = ()) -> None:
    """Refuses a field that is no whole number, or lies outside its bounds.

    Args:
        network: a module.
        bounds: of each field the least value, or the least and the greatest.
        optional: fields that may be None.

    Raises:
        FieldError: naming the field.
    """
    for name, bound in bounds.items():
        value = getattr(network, name)
        if value is None and name in optional:
            continue
        or_none = ", or None" if name in optional else ""
        if not is_whole(value):
            raise FieldError(name, repr(value), f"it must be a whole number{or_none}")
        least, most = bound if isinstance(bound, tuple) else (bound, None)
        if value < least or (most is not None and value > most):
            allowed = f"from {least} to {most}" if most is not None else f"at least {least}" if least else "0 or more"
            raise FieldError(name, value, f"it must be {allowed}{or_none}")


def check_lists(network: Any, *names: str) -> None:
    """Refuses a field that is no sequence of whole numbers; how many and how large they may be is the network's own check.

    Args:
        network: a module.
        names: of the fields.

    Raises:
        FieldError: naming the field.
    """
    for name in names:
        value = getattr(network, name)
        if not isinstance(value, tuple | list) or not all(map(is_whole, value)):
            raise FieldError(name, repr(value), "it must be a tuple of whole numbers")


def is_whole(value: Any) -> bool:
    """Returns whether a value is a whole number; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
