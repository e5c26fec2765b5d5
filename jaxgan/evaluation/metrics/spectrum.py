"""Power of waves of each length in signals, fields, pictures or volumes: generated ones compared with real ones."""

import numpy as np

from jaxgan.core.terms import LEAST_POWER, bands
from jaxgan.evaluation.metric import Metric, Shown
from jaxgan.system.messages import FieldError


def power(samples: np.ndarray, mean: np.ndarray) -> np.ndarray:
    r"""Returns the mean power of the waves in each band of wavenumbers.

    $$P_b = \langle |F_k|^2 \rangle_{k \in b}, \quad b = [S |k|],$$

    F the discrete transform over the axes of space, |k| in cycles a place, S the shorter side, [] the nearest whole number.

    Args:
        samples: `[N, ..., C]` with one to three axes of space.
        mean: `[..., C]`, subtracted from the samples first.

    Returns:
        `[S // 2 + 1]`, from the longest waves to those of two places, in squared units of the samples.
    """
    axes = tuple(range(1, samples.ndim - 1))
    sides = samples.shape[1:-1]
    squared = np.zeros(sides)
    for start in range(0, len(samples), 512):
        part = samples[start : start + 512].astype(np.float64) - mean
        squared += np.square(np.abs(np.fft.fftn(part, axes=axes))).mean(-1).sum(0)
    number = bands(sides)
    count = min(sides) // 2 + 1
    inside = number < count
    sums = np.bincount(number[inside], squared[inside], count)
    found: np.ndarray = sums / np.bincount(number[inside], minlength=count) / len(samples)
    return found


def _spectrum(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    if not 3 <= real.ndim <= 5 or real.shape[1:] != fake.shape[1:]:
        raise FieldError("metrics", "spectrum", f"samples of shape {real.shape[1:]} are no signals, fields or volumes")
    mean = real.mean(0, dtype=np.float64)
    of_real, of_fake = power(real, mean), power(fake, mean)
    there = of_real > LEAST_POWER * of_real.max()
    errors = np.abs(of_fake[there] / of_real[there] - 1.0)
    return {"spectrum": float(errors.mean()), "spectrum_worst": float(errors.max())}


SPECTRUM = Metric(
    _spectrum,
    of="samples",
    name="spectrum",
    better="lower",
    figures={
        "spectrum": Shown("error of the spectrum", "lower"),
        "spectrum_worst": Shown("error of the spectrum, worst band", "lower"),
    },
    definition="|power over real power - 1|, mean and largest over bands of wavenumbers with at least a thousandth of the "
    "strongest one's power, of differences from the real mean",
)
