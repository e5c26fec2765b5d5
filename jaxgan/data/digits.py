"""scikit-learn's digits, prepared in the cache: made anew where damaged, and elsewhere where the cache cannot be written."""

import atexit
import contextlib
import functools
import logging
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np

from jaxgan.data import cache, preparation, tfds
from jaxgan.system import files

_log = logging.getLogger("jaxgan")
_IMAGES, _LABELS = 0xA7D1F169, 0xC35E5636  # CRC of the 1,797 images and labels in the order of the prepared set
_sound: set[tuple[str, str]] = set()


def folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder in which the prepared set lies, prepared now where it is not, or is not as it was made.

    Args:
        cache_dir: as for `data.load`. Where it cannot be written, the set is made in a temporary folder, for this process.

    Raises:
        ValueError: when there is no temporary folder either.
    """
    root = cache.directory(cache_dir) / "tensorflow_datasets"
    try:
        preparation.prepare("digits", data_dir=root)
        _check(root, cache_dir)
        return root
    except preparation.Unwritable as error:
        files.without_cache(root.parent, error.cause)
    except (ValueError, OSError) as error:
        _log.warning("cache: %s is damaged and is made anew: %s", root / "digits", error)
        _remove(root / "digits")
        try:
            preparation.prepare("digits", data_dir=root)
            return root
        except ValueError as again:
            files.without_cache(root.parent, str(again))
    return _elsewhere()


def _check(root: Path, cache_dir: str | os.PathLike[str] | None) -> None:
    """Refuses a set that is not the one which scikit-learn has; a folder that has not changed is looked at once.

    Raises:
        ValueError: when it differs or cannot be read.
    """
    files_ = tfds.fingerprint(Path(tfds.prepared("digits", root).data_path))
    if (str(root), files_) in _sound:
        return
    found = tfds.source("digits", split="train", image_size=None, channels=None, data_dir=root, cache_dir=cache_dir)
    images, labels = found.everything()
    if found.class_names != tuple(map(str, range(10))) or (_crc(images), _crc(labels)) != (_IMAGES, _LABELS):
        raise ValueError("its images, labels or classes are others")
    _sound.add((str(root), files_))


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@functools.cache
def _elsewhere() -> Path:
    """Prepares the set in a temporary folder, which is removed when the process ends."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    try:
        root = stack.enter_context(files.scratch(Path(tempfile.gettempdir())))
    except OSError as error:
        raise ValueError(f"TMPDIR: no temporary folder for digits: {files.told(error)}") from error
    preparation.prepare("digits", data_dir=root)
    return root
