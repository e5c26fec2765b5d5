"""Arrays that took long to read, kept as .npy files."""

import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxgan.data.source import Arrays
from jaxgan.system import arrays as stored
from jaxgan.system import files

_log = logging.getLogger("jaxgan")
_FORMAT = 1  # of what is kept; arrays of another are read anew


def directory(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns where caches live: `cache_dir`, else JAXGAN_CACHE, else XDG_CACHE_HOME/jaxgan, else ~/.cache/jaxgan."""
    return files.cache_folder(cache_dir)


def arrays(folder: Path, origin: str, read: Callable[[], Arrays]) -> Arrays:
    """The arrays kept in `folder`, read anew when they are absent, damaged or of another origin.

    Args:
        folder: one for each data set, version, split and shape.
        origin: a fingerprint of the files that the arrays were read from.
        read: reads them.

    Returns:
        images and labels. A cache that cannot be written costs a warning, not the run.
    """
    kept = _load(folder, origin)
    if kept is not None:
        return kept
    images, labels = read()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write(folder / "images.npy", lambda file: np.save(file, images, allow_pickle=False))
        files.write(folder / "labels.npy", lambda file: np.save(file, labels, allow_pickle=False))
        # Written last: until it is there the arrays do not count.
        seal = {"format": _FORMAT, "origin": origin, "images": _checksum(images), "labels": _checksum(labels)}
        files.write_json(folder / "seal.json", seal)
    except OSError as error:
        files.without_cache(folder, error)
    return images, labels


def _load(folder: Path, origin: str) -> Arrays | None:
    try:
        seal = files.read_json(folder / "seal.json")
        if seal["origin"] != origin or seal.get("format", _FORMAT) != _FORMAT:
            return None
        images, labels = (stored.npy(folder / name) for name in ("images.npy", "labels.npy"))
        if (_checksum(images), _checksum(labels)) == (seal["images"], seal["labels"]):
            return images, labels
    except files.Missing:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):  # of a file, or of a seal of another form
        pass
    _log.warning("cache: %s is damaged and is read anew", folder)
    return None


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
