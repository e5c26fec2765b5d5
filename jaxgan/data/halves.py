"""Digits with the left half of each as its condition, so that the right half is to be generated."""

import numpy as np

from jaxgan.data.source import Arrays, Source
from jaxgan.system.messages import FieldError, shown

_TRAIN = 1_400  # other people wrote the digits after these
SPLITS = ("train", "test")


def check(split: str) -> None:
    """Refuses a split that does not exist.

    Raises:
        FieldError: naming the splits that exist.
    """
    if split not in SPLITS:
        raise FieldError("split", shown(split), f"halves has {', '.join(SPLITS)}")


def source(digits: Arrays, class_names: tuple[str, ...], split: str) -> Source:
    """Digits, each with its left half as condition: `[8, 8, 1]` float32 in [-1, 1], the right half 0, grey.

    Pictures of a run are drawn for unseen halves, those of the split `test`.

    Args:
        digits: all of scikit-learn's, `[1797, 8, 8, 1]` uint8 and labels.
        class_names: of the labels.
        split: `train`, the first 1,400, or `test`, the 397 after them.

    Returns:
        A `Source`.
    """
    images, labels = digits
    part = slice(_TRAIN) if split == "train" else slice(_TRAIN, None)
    seen, conditions = images[part], halves(images)

    def read(numbers: np.ndarray) -> Arrays:
        return seen[numbers], labels[part][numbers]

    found = Source("halves", split, len(seen), images.shape[1:], class_names, read, lambda: (seen, labels[part]))
    return found._replace(origin="digits", condition=conditions[part], shown=conditions[_TRAIN:])


def halves(images: np.ndarray) -> np.ndarray:
    """Returns the left half of pictures `[N, H, W, C]` uint8 in [-1, 1], and 0 in the right one."""
    kept = np.arange(images.shape[2]) < images.shape[2] // 2
    return np.where(kept[:, None], images / np.float32(127.5) - np.float32(1.0), np.float32(0.0)).astype(np.float32)
