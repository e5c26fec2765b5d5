"""A folder of pictures: PNG, JPEG and WebP of any mode and size."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxgan.data import fit
from jaxgan.data.source import Arrays, Source
from jaxgan.system import images as pictures
from jaxgan.system.files import home_expanded
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange height and width


class _Header(NamedTuple):
    path: Path
    size: tuple[int, int]  # height, width
    grey: bool


def source(path: str | os.PathLike[str], *, image_size: int | None, channels: int | None) -> Source:
    """The pictures below a folder, in the order of their paths.

    When every picture lies in a sub-folder, the names of the first level of sub-folders are the classes. Files that are
    no readable picture (empty, truncated, of another kind, larger than Pillow's limit against decompression bombs) are
    left out with one warning; hidden files without. A picture whose damage shows only while streaming is replaced by
    the next readable one, so that a batch still depends on the seed and the step alone.

    Args:
        path: the folder.
        image_size: side of the centre crop and resize of `fit.picture`; None keeps the size, which must be common.
        channels: 1, 3 or 4; None takes 1 when all pictures are grey, 3 otherwise.

    Returns:
        A `Source`.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is a file, holds no readable picture, or several sizes without an `image_size`.
    """
    root = home_expanded(path)
    if not root.exists():
        raise FileNotFoundError(f"folder: {root} does not exist")
    if not root.is_dir():
        raise ValueError(f"folder: {root} is a file, but it must be a folder of images")
    files, unreadable = _scan(root, oriented=image_size is None)
    if not files:
        raise ValueError(f"folder: {root} holds no readable PNG, JPEG or WebP image{_listed(unreadable)}")
    channels = channels or (1 if all(file.grey for file in files) else 3)
    shape = (*_size(root, files, image_size), channels)
    labels, class_names = _classes([file.path.relative_to(root) for file in files])
    bad: set[int] = set()

    def report(names: Sequence[str]) -> None:
        named = unreadable + list(names)
        unreadable.clear()
        if named:
            _log.warning("folder: %s: skipped %d that cannot be read as an image%s", root, len(named), _listed(named))

    def decode(number: int) -> np.ndarray | None:
        if number in bad:
            return None
        pixels = _decode(files[number].path, image_size, channels)
        if pixels is None or pixels.shape != shape:
            bad.add(number)
            report([str(files[number].path.relative_to(root))])
            return None
        return pixels

    def substitute(number: int) -> tuple[int, np.ndarray]:
        for candidate in (*range(number, len(files)), *range(number)):
            if (pixels := decode(candidate)) is not None:
                return candidate, pixels
        raise ValueError(f"folder: {root} holds no readable image any more")

    def read(numbers: np.ndarray) -> Arrays:
        report([])
        found, pixels = zip(*map(substitute, numbers.tolist()), strict=True)
        return np.stack(pixels), labels[list(found)]

    def everything() -> Arrays:
        images, kept = np.empty((len(files), *shape), np.uint8), np.zeros(len(files), bool)

        def store(number: int) -> None:
            pixels = _decode(files[number].path, image_size, channels)
            if pixels is not None and pixels.shape == shape:
                images[number], kept[number] = pixels, True

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(store, range(len(files))))
        report([str(file.path.relative_to(root)) for file, good in zip(files, kept, strict=True) if not good])
        if not kept.any():
            raise ValueError(f"folder: {root} holds no readable PNG, JPEG or WebP image")
        return (images, labels) if kept.all() else (images[kept], labels[kept])

    return Source(f"folder:{path}", "train", len(files), shape, class_names, read, everything)


def _scan(root: Path, *, oriented: bool) -> tuple[list[_Header], list[str]]:
    """The headers of the pictures below `root`, and the names of the files that are none."""
    found, unreadable = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for path in sorted(_walk(root), key=lambda path: path.relative_to(root).as_posix()):
            header = _header(path, oriented)
            if header is None:
                unreadable.append(str(path.relative_to(root)))
            else:
                found.append(header)
    return found, unreadable


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _header(path: Path, oriented: bool) -> _Header | None:
    try:
        with pictures.opened(path) as image:
            width, height = image.size
            # Pillow decodes a whole PNG to look for its orientation, so look only where it matters.
            if oriented and image.getexif().get(_ORIENTATION, 1) >= 5:
                width, height = height, width
            return _Header(path, (height, width), fit.is_grey(image))
    except Exception:  # a damaged file makes Pillow raise nearly anything
        return None


def _decode(path: Path, image_size: int | None, channels: int) -> np.ndarray | None:
    try:
        with pictures.opened(path) as image:
            return fit.picture(image, image_size, channels)
    except Exception:  # as above
        return None


def _size(root: Path, files: list[_Header], image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    sizes = sorted({file.size for file in files})
    if len(sizes) > 1:
        (low, left), (high, right) = sizes[0], sizes[-1]
        raise FieldError("image_size", None, f"{root} holds {len(sizes)} sizes, {low}x{left} to {high}x{right}; give one")
    return sizes[0]


def _classes(paths: list[Path]) -> tuple[np.ndarray, tuple[str, ...]]:
    if any(len(path.parts) == 1 for path in paths):
        return np.zeros(len(paths), np.int32), ()
    class_names = sorted({path.parts[0] for path in paths})
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[path.parts[0]] for path in paths], np.int32), tuple(class_names)


def _listed(names: Sequence[str], most: int = 5) -> str:
    """`: a.png, b.txt and 3 more`, in one line whatever the names hold."""
    if not names:
        return ""
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:most])
    return f": {shown}" + (f" and {len(names) - most} more" if len(names) > most else "")
