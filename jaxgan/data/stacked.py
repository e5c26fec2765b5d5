"""Stacked MNIST: three digits as the channels of one image, 1,000 modes."""

import numpy as np

from jaxgan.data.source import Arrays, Source
from jaxgan.system.messages import FieldError, shown

_SIZES = {"train": 128_000, "test": 26_000}
_CHUNK = 512  # images stacked at a time


def source(digits: Arrays, split: str) -> Source:
    """Images of three random digits in red, green and blue, with label `100 d_0 + 10 d_1 + d_2`.

    The protocol of Metz et al. 2017, Unrolled GANs, section 3.3.1, and Lin et al. 2018, PacGAN, section 4.2: 128,000
    training images, each of three MNIST images drawn uniformly with replacement, so that the 1,000 modes are nearly
    but not exactly uniform. The test split holds 26,000 of test digits, as many as PacGAN judges a generator by.

    Args:
        digits: MNIST's images `[M, H, W, 1]` and labels `[M]` of that split.
        split: train or test.

    Returns:
        A `Source` of `[H, W, 3]` images.
    """
    images, labels = digits
    size = sizes(split)
    drawn = triples(size, len(images))

    def read(numbers: np.ndarray) -> Arrays:
        parts = drawn[numbers]
        return np.moveaxis(images[parts][..., 0], 1, -1), labels[parts] @ np.array([100, 10, 1], np.int32)

    def everything() -> Arrays:
        stacked, modes = np.empty((size, *shape), np.uint8), np.empty(size, np.int32)
        for start in range(0, size, _CHUNK):  # three times faster than all at once: the parts stay in the cache
            part = slice(start, min(start + _CHUNK, size))
            stacked[part], modes[part] = read(np.arange(part.start, part.stop))
        return stacked, modes

    class_names = tuple(f"{number:03d}" for number in range(1000))
    shape = (*images.shape[1:3], 3)
    return Source("stacked_mnist", split, size, shape, class_names, read, everything)


def sizes(split: str) -> int:
    """Images in a split.

    Raises:
        ValueError: when there is no such split.
    """
    if split not in _SIZES:
        raise FieldError("split", shown(split), f"stacked_mnist has {', '.join(_SIZES)}")
    return _SIZES[split]


def triples(size: int, count: int, seed: int = 0) -> np.ndarray:
    """Returns which three of `count` digits make images 0 .. size; those of image i depend on (seed, i, count) alone.

    Returns:
        `[size, 3]` int32 in [0, count).
    """
    words = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(3 * size)
    return (words % np.uint64(count)).astype(np.int32).reshape(size, 3)
