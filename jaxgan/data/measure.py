"""The form and the units of a user's arrays: told, or found from the data by a rule that is recorded."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgan.core.units import BYTES, Units
from jaxgan.system.messages import FieldError, shown

MEASURES = ("auto", "minmax", "percentiles", "none")
_FAR = 10.0  # from the networks' range of [-1, 1]
_TAILS = (0.1, 99.9)  # percent
_CHANNELS = (1, 3, 4)  # of pictures
_LONGEST = 16  # letters of a unit, beside a colour bar


class Form(NamedTuple):
    """The wishes of a user about samples: their dimensions and their units."""

    dimensions: int | None = None  # of space, without N and channels; by the rank when None
    value_range: tuple[float, ...] = ()  # values that become -1 and 1, a pair for all channels or for each
    measure: str = "auto"  # how a range that is not given is found
    unit: str = ""  # of the values, as people write it


def checked_form(dimensions: Any = None, value_range: Any = (), measure: str = "auto", unit: str = "") -> Form:
    """Returns a `Form` of options that are allowed.

    Raises:
        FieldError: with the option, its value and what is allowed.
    """
    if dimensions is not None and (type(dimensions) is not int or not 0 <= dimensions <= 3):
        raise FieldError("dimensions", dimensions, "it must be 0 (vectors), 1 (signals), 2 (pictures, fields) or 3 (volumes)")
    if measure not in MEASURES:
        raise FieldError("measure", shown(measure), ", ".join(MEASURES), link=" is not one of ")
    try:
        ends = tuple(float(each) for each in np.asarray(() if value_range is None else value_range).reshape(-1))
    except (TypeError, ValueError):
        raise FieldError("value_range", shown(value_range), "it must be LOW HIGH, or such a pair for each channel") from None
    if len(ends) % 2 or not np.isfinite(ends).all() or any(low >= high for low, high in _pairs(ends)):
        raise FieldError("value_range", _words(ends), "it must be LOW HIGH, or such a pair for each channel, LOW below HIGH")
    if ends and measure != "auto":
        raise FieldError("measure", measure, "value_range is given, so that nothing is measured")
    if not isinstance(unit, str) or len(unit) > _LONGEST or not unit.isprintable():
        raise FieldError("unit", shown(unit), f"it must be a word or two, at most {_LONGEST} letters, such as K or m/s")
    return Form(dimensions, ends, measure, unit)


def as_samples(samples: Any, dimensions: int | None = None, field: str = "images") -> np.ndarray:
    """Returns samples as an array with channels last, in the user's units.

    Args:
        samples: `[N, F]`, `[N, T, C]`, `[N, H, W, C]` or `[N, D, H, W, C]`; without C where there is one channel, for which
            `dimensions` must be told, but of `[N, H, W]`.
        dimensions: of space, 0 to 3; by the rank when None, three axes being `[N, H, W]`.
        field: name for messages.

    Raises:
        FieldError: when they are ragged, no real numbers, not finite, or of another rank.
    """
    if isinstance(samples, np.ma.MaskedArray):
        raise FieldError(field, "a masked array", "fill it: a network sees every value")
    try:
        array = np.asarray(samples)
    except ValueError:
        raise FieldError(field, "rows of several shapes", "they must be of one shape") from None
    if array.dtype.kind not in "fiub":
        raise FieldError(field, f"dtype {array.dtype}", "it must be real numbers")
    rank = array.ndim
    if dimensions is None:
        _check_channels_last(array.shape, field)
        dimensions = {2: 0, 3: 2, 4: 2, 5: 3}.get(rank, -1)
    if array.size == 0:
        raise FieldError(field, f"shape {array.shape}", "there must be one sample or more, each of one number or more")
    if dimensions < 0 or rank not in (dimensions + 1, dimensions + 2) or rank < 2:
        told = "[N, F], [N, T, C], [N, H, W], [N, H, W, C] or [N, D, H, W, C]"
        raise FieldError(field, f"shape {array.shape} of {max(dimensions, 0)} dimensions" if rank > 1 else
                         f"shape {array.shape}", f"it must be {told}")  # fmt: skip
    check_finite(array, field)
    return array[..., None] if rank == dimensions + 1 else array


def _check_channels_last(shape: tuple[int, ...], field: str) -> None:
    """Refuses samples whose channels come first by all appearance, unless their dimensions are told.

    Raises:
        FieldError: with the order of axes that is meant.
    """
    if len(shape) < 4 or shape[1] not in _CHANNELS or min(shape[2:]) <= max(_CHANNELS):
        return
    order = (0, *range(2, len(shape)), 1)
    sides = "x".join(map(str, shape[1:-1]))
    told = f"channels come last: give {field}.transpose{order}, or dimensions={len(shape) - 2} if they are {sides} places with"
    raise FieldError(field, f"shape {shape}", f"{told} {shape[-1]} channels")


def check_finite(array: np.ndarray, field: str, first: int = 0) -> None:
    """Refuses NaN and infinity with the index of the first.

    Raises:
        FieldError: with the value and its index, that of the sample counted from `first`.
    """
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    where = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
    value = array[tuple(where)]
    raise FieldError(field, f"{value} at {[where[0] + first, *where[1:]]}", "they must be finite")


class Span(NamedTuple):
    """The least and the largest value of each channel, and percentiles where they are asked for."""

    least: np.ndarray  # [C]
    most: np.ndarray  # [C]
    tails: np.ndarray | None = None  # [2, C]


def span_of(samples: np.ndarray, *, tails: bool = False) -> Span:
    """Returns the span of samples `[N, ..., C]`."""
    axes = tuple(range(samples.ndim - 1))
    found = np.percentile(samples.astype(np.float64), _TAILS, axis=axes) if tails else None
    return Span(samples.min(axes), samples.max(axes), found)


def measured(samples: np.ndarray, form: Form) -> Units:
    """Returns the units of samples in memory, as `units_of` has them."""
    if samples.dtype == np.uint8 and samples.ndim > 2 and form.measure == "auto" and not form.value_range:
        return BYTES
    check_finite(samples, "samples")
    return units_of(samples.dtype, samples.ndim, span_of(samples, tails=form.measure == "percentiles"), form)


def units_of(dtype: np.dtype, rank: int, span: Span, form: Form) -> Units:
    """Returns the units of samples.

    Bytes of pictures are 0 to 255; vectors of numbers up to 10 are seen as they are; floats within [0, 1] or [-1, 1] have that
    range; of any other numbers each channel's least and largest value become -1 and 1.

    Args:
        dtype: of the samples.
        rank: of an array of them, with N.
        span: of the samples.
        form: options, checked.

    Raises:
        FieldError: when a range contradicts the data, or a channel that is measured is constant.
    """
    name = dtype.name
    if form.value_range:
        return _given(name, span, form.value_range)
    if form.measure == "none":
        return Units(name)
    if form.measure == "auto":
        if rank == 2 and not _is_far(span):
            return Units(name)
        if dtype == np.uint8 and rank > 2:
            return BYTES
        least, most = float(span.least.min()), float(span.most.max())
        if dtype.kind == "b" or (dtype.kind == "f" and least >= 0.0 and most <= 1.0):
            return Units(name, (0.0,), (1.0,))
        if dtype.kind == "f" and least >= -1.0 and most <= 1.0:
            return Units(name, (-1.0,), (1.0,))
    low, high = (span.least, span.most) if span.tails is None else span.tails
    for channel, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        if not a < b:
            of = f"channel {channel} of " if len(low) > 1 else ""
            raise FieldError(
                "samples", f"{of}the data is constant, {a:g}", "a range cannot be measured of it: give value_range"
            )
    return Units(name, tuple(map(float, low)), tuple(map(float, high)))


def _is_far(span: Span) -> bool:
    """Tells vectors that networks cannot learn as they are from points near the origin, which keep their place."""
    return float(np.maximum(np.abs(span.least), np.abs(span.most)).max()) > _FAR


def _given(name: str, span: Span, ends: Sequence[float]) -> Units:
    low, high = (np.array([pair[i] for pair in _pairs(ends)]) for i in (0, 1))
    if len(low) not in (1, len(span.least)):
        allowed = f"the data have {len(span.least)} channels: give one pair, or one for each"
        raise FieldError("value_range", f"{len(low)} pairs", allowed)
    slack = 1e-6 * (high - low)
    if (span.least < low - slack).any() or (span.most > high + slack).any():
        reach = f"the data reach from {float(span.least.min()):g} to {float(span.most.max()):g}"
        raise FieldError("value_range", _words(ends), reach)
    if name == "uint8" and (*low, *high) == (0.0, 255.0):
        return BYTES
    return Units(name, tuple(map(float, low)), tuple(map(float, high)))


def _pairs(ends: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(ends[::2], ends[1::2], strict=True))


def _words(ends: Sequence[float]) -> str:
    return " ".join(f"{each:g}" for each in ends) or "none"
