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
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise FieldError(name, repr(value), f"it must be a whole number{or_none}")
        least, most = bound if isinstance(bound, tuple) else (bound, None)
        if value < least or (most is not None and value > most):
            allowed = f"from {least} to {most}" if most is not None else f"at least {least}" if least else "0 or more"
            raise FieldError(name, value, f"it must be {allowed}{or_none}")
