"""Units of a user's samples, between which and [-1, 1] an affine map goes, and what is known of a data set."""

from typing import Any, NamedTuple

import numpy as np


class Units(NamedTuple):
    """The dtype of a user's samples, and the values that networks see as -1 and 1.

    One pair of values for all channels, or a pair for each; none where networks see the samples as they are.
    """

    dtype: str = "float32"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    unit: str = ""  # as people write it: K, V, counts; for axes and bars
    columns: tuple[str, ...] = ()  # names of a vector's numbers, if any

    @property
    def are_bytes(self) -> bool:
        """True of pictures in 8 bits."""
        return self[:3] == BYTES[:3]

    @property
    def are_plain(self) -> bool:
        """True where networks see the very numbers that the user has."""
        return not self.low or (set(self.low) == {-1.0} and set(self.high) == {1.0})


BYTES = Units("uint8", (0.0,), (255.0,))


class Facts(NamedTuple):
    """Facts about a data set, which a run tells and records."""

    origin: str  # name or path
    counts: tuple[int, ...]  # samples of each class; () where there are no labels, or they were not read
    least: float | None  # smallest value, in the user's units; None where not all were read
    most: float | None  # largest value
    fingerprint: str | None  # sha256 over content, or names and sizes of what is streamed; None where there is none


def to_trained(samples: np.ndarray, units: Units) -> np.ndarray:
    """Maps samples of a user's to what networks see, `2 (x - low) / (high - low) - 1`.

    Args:
        samples: `[N, ..., C]` in the user's units.
        units: with `low` and `high` for all channels or for each of C.

    Returns:
        The same shape, float32, low and high at -1 and 1; bytes stay as they are, since the device maps them.
    """
    if units.are_bytes:
        return samples
    if units.are_plain:
        return samples.astype(np.float32)
    low, high = np.asarray(units.low), np.asarray(units.high)
    mapped: np.ndarray = (samples.astype(np.float64) - low) * (2.0 / (high - low)) - 1.0
    return mapped.astype(np.float32)


def to_user(samples: Any, units: Units) -> np.ndarray:
    """Maps what networks make to the user's units and dtype, `low + (x + 1) (high - low) / 2`.

    Args:
        samples: `[N, ..., C]` as networks make them.
        units: of the data that they were trained on.

    Returns:
        The same shape in the user's dtype; integers are rounded, and cut off where the dtype ends.
    """
    x = np.asarray(samples)
    if units.are_bytes:
        return as_bytes(x)
    if not units.are_plain:
        low, high = np.asarray(units.low), np.asarray(units.high)
        x = low + (x.astype(np.float64) + 1.0) * ((high - low) / 2.0)
    dtype = np.dtype(units.dtype)
    if dtype.kind in "iub":
        x = np.rint(np.nan_to_num(x.astype(np.float64)))
        ends = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        x = np.clip(x, *ends)
    return x.astype(dtype)


def as_bytes(images: Any) -> np.ndarray:
    """Images in [-1, 1] as bytes, `clip(round(127.5 x + 127.5), 0, 255)`; uint8 stays, and NaN becomes mid-grey."""
    x = np.asarray(images)
    if x.dtype == np.uint8:
        return x
    return np.clip(np.rint(np.nan_to_num(x.astype(np.float32), nan=0.0) * 127.5 + 127.5), 0, 255).astype(np.uint8)


def as_json(units: Units) -> dict[str, Any]:
    """Returns units as recipe.json holds them."""
    words = {"unit": units.unit, "columns": list(units.columns)}
    told = {name: value for name, value in words.items() if value}
    return {"dtype": units.dtype, "low": list(units.low), "high": list(units.high), **told}


def from_json(content: Any) -> Units | None:
    """Returns the units that recipe.json holds, None of a run that recorded none.

    Raises:
        ValueError, KeyError, TypeError: when they are of another form.
    """
    if content is None:
        return None
    low, high = (tuple(map(float, content[name])) for name in ("low", "high"))
    if len(low) != len(high) or not all(a < b for a, b in zip(low, high, strict=True)):
        raise ValueError(f"units from {low} to {high}")
    if np.dtype(content["dtype"]).kind not in "fiub":
        raise ValueError(f"units of dtype {content['dtype']}")
    columns = tuple(map(str, content.get("columns", ())))
    return Units(str(content["dtype"]), low, high, str(content.get("unit", "")), columns)
