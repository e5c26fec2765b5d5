"""Random smooth fields in kelvin, whose spectrum is known."""

import numpy as np

from jaxgan.data.generated import draws

SIDES = (24, 40)
MEAN, DEVIATION = 288.0, 8.0  # kelvin
CORNER = 0.06  # cycles a place: longer waves have about the same power
STEEPNESS = 2.5
STEP = 0.01  # kelvin, to which values are rounded
COUNTS = {"train": 8192, "test": 2048}


def power() -> np.ndarray:
    r"""Returns the expected power of each wave of the fields, `E |F_k|^2` of the transform of the difference from `MEAN`.

    $$P(k) \propto (1 + (|k| / k_0)^2)^{-5/2}$$

    Returns:
        `[24, 21]` in the order of `numpy.fft.rfft2`, in square kelvin.
    """
    rows, columns = np.fft.fftfreq(SIDES[0]), np.fft.fftfreq(SIDES[1])
    whole = (1.0 + (rows[:, None] ** 2 + columns**2) / CORNER**2) ** -STEEPNESS
    scaled: np.ndarray = whole / whole.sum() * (DEVIATION * whole.size) ** 2
    return scaled[:, : SIDES[1] // 2 + 1]


def samples(split: str) -> np.ndarray:
    """Returns Gaussian fields that are periodic along both axes.

    Args:
        split: train or test.

    Returns:
        `[N, 24, 40, 1]` float32, kelvin.
    """
    white = draws.normal("fields", split, 0, (COUNTS[split], *SIDES))
    waves = np.fft.rfft2(white) * np.sqrt(power() / white[0].size)
    found = MEAN + np.fft.irfft2(waves, SIDES)
    return (np.rint(found / STEP) * STEP).astype(np.float32)[..., None]
