"""Samples that any program made, in the form in which they are compared with real ones."""

import logging

import numpy as np

from jaxgan.core.types import Dataset, Units
from jaxgan.core.units import BYTES, to_trained
from jaxgan.data.measure import check_finite
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")


def fitted(samples: np.ndarray, real: Dataset, name: str) -> tuple[np.ndarray, Units | None]:
    """Returns samples as a metric takes them, and their units.

    Against pictures in bytes, floats and integers of a picture's range become bytes' values: [0, 1], else [-1, 1], else 0 to
    255. Against any other data samples are in the units of the real ones, and told where they lie far from these.

    Args:
        samples: `[N, ...]`, uint8 pictures or other numbers.
        real: the real samples; without units where they are pictures.
        name: of the samples, for messages.

    Raises:
        FieldError: for NaN and infinity, and for numbers that no picture has.
    """
    check_finite(samples, name)
    if samples.shape[1:] == (*real.shape, 1):
        samples = samples[..., 0]  # [N, T, C], read as grey pictures
    units = real.units
    if units is not None and not units.are_bytes:
        _warn(samples, units, name)
        return samples.astype(np.float32), Units(units.dtype if np.dtype(units.dtype).kind == "f" else "float32")
    if samples.dtype == np.uint8 or len(real.shape) != 3:
        return samples if samples.dtype == np.uint8 else samples.astype(np.float32), None
    least, most = float(samples.min()), float(samples.max())
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if low <= least and most <= high:
            units = BYTES if high == 255.0 else Units("float32", (low,), (high,))
            mapped = to_trained(samples, units._replace(dtype="float32"))
            return mapped, None
    allowed = f"those of {real.name} are pictures: floats in [0, 1] or [-1, 1], or 0 to 255"
    raise FieldError(name, f"values from {least:g} to {most:g}", allowed)


def labelled(labels: np.ndarray, names: tuple[str, ...], real: Dataset) -> np.ndarray | None:
    """Returns labels as the real samples count their classes, or None where a class is none of theirs.

    Args:
        labels: `[N]` integers that count `names`.
        names: of the classes; names of the real ones, or numbers that count these.
        real: the real samples.
    """
    known = {name: i for i, name in enumerate(real.class_names)}
    numbers = {str(i): i for i in range(len(known))}
    places = [known.get(name, numbers.get(name, -1)) for name in names]
    return None if not places or -1 in places else np.asarray(places, np.int32)[labels]


def _warn(samples: np.ndarray, units: Units, name: str) -> None:
    if not units.low:
        return
    low, high = min(units.low), max(units.high)
    least, most = float(samples.min()), float(samples.max())
    if most < low or least > high or most - least > 10.0 * (high - low) or most - least < 0.02 * (high - low):
        told = "%s: values from %g to %g, but the real ones reach from %g to %g: are they in the same units?"
        _log.warning(told, name, least, most, low, high)
