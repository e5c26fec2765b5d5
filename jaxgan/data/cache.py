"""Arrays that took long to read, kept as .npy files."""

import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxgan.data.source import Arrays
from jaxgan.system import files

_log = logging.getLogger("jaxgan")


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
        seal = json.dumps({"origin": origin, "images": _checksum(images), "labels": _checksum(labels)})
        files.write(folder / "seal.json", seal)
    except OSError as error:
        _log.warning("cache: cannot write %s: %s", folder, error.strerror or error)
    return images, labels


def _load(folder: Path, origin: str) -> Arrays | None:
    try:
        seal = json.loads((folder / "seal.json").read_text())
        if seal["origin"] != origin:
            return None
        images, labels = (np.load(folder / name, allow_pickle=False) for name in ("images.npy", "labels.npy"))
        if (_checksum(images), _checksum(labels)) == (seal["images"], seal["labels"]):
            return images, labels
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):  # whatever a damaged file leads to
        pass
    _log.warning("cache: %s is damaged and is read anew", folder)
    return None


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
