"""Random numbers that are the same whatever the version of numpy."""

import math
import zlib

import numpy as np


def uniform(name: str, split: str, stream: int, shape: tuple[int, ...]) -> np.ndarray:
    """Returns numbers in [0, 1), a pure function of the arguments.

    Args:
        name: of the data set.
        split: of the data set; another split has other numbers.
        stream: one for each quantity that is drawn, so that each has its own random numbers.
        shape: of the result.

    Returns:
        float64 with 53 random bits.

    References:
        Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3, whose Philox gives the bits.
    """
    key = np.array([zlib.crc32(f"{name}/{split}".encode()), stream], np.uint64)
    words = np.random.Philox(key=key).random_raw(math.prod(shape))
    return (words >> np.uint64(11)).reshape(shape) * 2.0**-53


def normal(name: str, split: str, stream: int, shape: tuple[int, ...]) -> np.ndarray:
    """Returns standard normal numbers by the Box-Muller method; arguments as of `uniform`, the stream even."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(name, split, stream, shape)))
    return radius * np.cos(2.0 * np.pi * uniform(name, split, stream + 1, shape))
