"""The trend of a figure over some rows of a log, with its uncertainty."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_MOST = 0.9  # autocorrelation of the residuals that is believed


class Trend(NamedTuple):
    """A straight line through a figure's values."""

    first: float  # the line's value at the first row
    last: float  # and at the last
    error: float  # standard error of their difference; NaN with fewer than 4 values

    @property
    def change(self) -> float:
        """Returns the difference from the first row to the last."""
        return self.last - self.first


def trend(values: Sequence[float]) -> Trend:
    r"""Fits a straight line to equally spaced values by least squares.

    With residuals r and t from -1/2 to 1/2, the difference from the first value to the last has the standard error

    $$\sqrt{\frac{\sum r^2 / (n - 2)}{\sum t^2} \cdot \frac{1 + \rho}{1 - \rho}},$$

    rho the correlation of neighbouring residuals, from 0 to 0.9: rows that follow each other are not independent.

    Args:
        values: `[n]`, in order, at least one; those that are not finite are left out.

    Returns:
        A `Trend`.

    Source:
        The correction for autocorrelation is that of an autoregression of order one: Bartlett 1935, Some aspects of the
        time-correlation problem; von Storch and Zwiers 1999, Statistical analysis in climate research, section 6.6.
    """
    y = np.array([value for value in values if math.isfinite(value)], float)
    n = len(y)
    if n < 3:
        return Trend(*((float(y[0]), float(y[-1])) if n else (math.nan, math.nan)), math.nan)
    t = np.linspace(-0.5, 0.5, n)
    slope, middle = float(t @ y / (t @ t)), float(y.mean())
    residuals = y - middle - slope * t
    if n < 4:
        return Trend(middle - slope / 2, middle + slope / 2, math.nan)
    power = float(residuals @ residuals)
    rho = float(np.clip(residuals[1:] @ residuals[:-1] / power, 0.0, _MOST)) if power > 0.0 else 0.0
    error = math.sqrt(power / (n - 2) / (t @ t) * (1.0 + rho) / (1.0 - rho))
    return Trend(middle - slope / 2, middle + slope / 2, error)
