"""Facts about a data set: its classes and their counts, its range, and a fingerprint of its content."""

import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from jaxgan.core.units import Facts

_CHUNK = 2**24  # bytes hashed at a time


def present(labels: np.ndarray, class_names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Leaves out classes without samples, so that they are neither trained for nor drawn.

    Args:
        labels: `[N]` integers in [0, len(class_names)).
        class_names: one for each class; () when the labels mean nothing.

    Returns:
        labels `[N]` int32 that count the classes that are left, in their order, and the names of these.
    """
    there = np.unique(labels)
    if len(there) == len(class_names) or not class_names:
        return labels.astype(np.int32, copy=False), class_names
    return np.searchsorted(there, labels).astype(np.int32), tuple(class_names[i] for i in there)


def of_arrays(origin: str, samples: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> Callable[[], Facts]:
    """Returns a function that computes the facts of samples in memory, once.

    Args:
        origin: of the data, as it is told.
        samples: `[N, ...]` in the user's units.
        labels: `[N]` int32.
        class_names: one for each class.
    """

    @functools.cache
    def facts() -> Facts:
        counts = tuple(np.bincount(labels, minlength=len(class_names)).tolist()) if class_names else ()
        ends = float(samples.min()), float(samples.max())
        return Facts(origin, counts, *ends, _digest([samples, labels], class_names))

    return facts


def of_files(origin: str, root: Path, names: Iterable[str], counts: tuple[int, ...]) -> Callable[[], Facts]:
    """Returns a function that computes the facts of files that are streamed, by their names and sizes.

    Args:
        origin: of the data, as it is told.
        root: folder of the files, or an archive, which is then the one file.
        names: of the files, below the folder.
        counts: samples of each class.
    """

    @functools.cache
    def facts() -> Facts:
        seen = hashlib.sha256()
        for name in names:
            path = root / name if root.is_dir() else root
            seen.update(f"{name} {path.stat().st_size}\n".encode())
        return Facts(origin, counts, None, None, seen.hexdigest())

    return facts


def _digest(arrays: Iterable[np.ndarray], names: tuple[str, ...]) -> str:
    """Returns the sha256 of arrays, which depends on neither byte order nor memory layout, and of names."""
    seen = hashlib.sha256("\n".join(names).encode())
    for array in arrays:
        little = array.dtype.newbyteorder("<")
        seen.update(f"{little.str} {array.shape}".encode())
        rows = max(_CHUNK // max(array[:1].nbytes, 1), 1)
        for start in range(0, len(array), rows):
            seen.update(np.ascontiguousarray(array[start : start + rows], little).view(np.uint8).reshape(-1).data)
    return seen.hexdigest()
