"""Data sets that are computed, or come with an installed package: signals, fields, volumes and a table.

Each is a pure function of its split. Random numbers are words of Philox, whose stream is specified, and values are rounded, as
an instrument's are, so that the last bit of a library's sine does not matter: the bytes are the same whatever the versions.
"""

import functools
from collections.abc import Callable

import numpy as np

from jaxgan.data.generated import fields, signals, table, volumes
from jaxgan.data.source import Source
from jaxgan.system.messages import FieldError, shown

SPLITS = ("train", "test")
_SETS: dict[str, Callable[[str], np.ndarray]] = {
    "signals": signals.samples,
    "fields": fields.samples,
    "volumes": volumes.samples,
    "table": table.samples,
}
_UNITS = {"signals": "V", "fields": "K", "volumes": "counts", "table": ""}
_ORIGINS = {
    "signals": "computed: periodic waves",
    "fields": "computed: Gaussian random fields",
    "volumes": "computed: ellipsoids",
    "table": "scikit-learn's diabetes",
}
NAMES = tuple(_SETS)


def source(name: str, split: str) -> Source:
    """Returns the data set of that name.

    Args:
        name: one of `NAMES`.
        split: `train`, or `test` for samples that `train` does not have.

    Raises:
        FieldError: for another split.
    """
    from jaxgan.data.array import of_arrays  # it loads Pillow

    if split not in SPLITS:
        raise FieldError("split", shown(split), f"{name} has {', '.join(SPLITS)}")
    found = _drawn(name, split)
    made = of_arrays(name, found, np.zeros(len(found), np.int32), (), _ORIGINS[name])
    return made._replace(split=split, unit=_UNITS[name], columns=table.COLUMNS if name == "table" else ())


@functools.lru_cache(maxsize=4)
def _drawn(name: str, split: str) -> np.ndarray:
    found = _SETS[name](split)
    found.flags.writeable = False
    return found
