"""A folder of pictures: PNG, JPEG and WebP of any mode and size."""

import itertools
import logging
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxgan.data import facts, fit
from jaxgan.data.layout import LABELS, layout, listed
from jaxgan.data.places import Place, place, walk
from jaxgan.data.source import Arrays, Source
from jaxgan.system import files
from jaxgan.system import images as pictures
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
_MANY = 1_000  # files
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange height and width
_WHITES = (255, 1023, 4095, 16383, 65535)  # of 8, 10, 12, 14 and 16 bits


class _Header(NamedTuple):
    name: str
    size: tuple[int, int]  # height, width
    grey: bool
    deep: bool  # more than 8 bits


def source(path: str | os.PathLike[str], *, image_size: int | None, channels: int | None, way: str = "crop") -> Source:
    """The pictures below a folder or in a .zip of one, in the order of their paths; their classes are those of `layout`.

    Links to folders are followed. Files that are no readable picture (empty, truncated, of another kind, larger than Pillow's
    limit against decompression bombs) are left out with one warning; hidden files without. A picture whose damage shows only
    while streaming is replaced by the next readable one, so that a batch still depends on the seed and the step alone. Where
    pictures have 16 bits, white is the largest value that fewer bits have, 4,095 for those of a 12-bit device.

    Args:
        path: the folder, or the .zip.
        image_size: side in pixels to fit to; None keeps the size, which must be common.
        channels: 1, 3 or 4; None takes 1 when all pictures are grey, 3 otherwise.
        way: in which a picture that is no square fits, see `fit.picture`.

    Returns:
        A `Source`.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is another file, holds no readable picture, or several sizes without an `image_size`.
    """
    held = place(path)
    root = held.root
    headers, unreadable = _scan(held, oriented=image_size is None)
    if not headers:
        raise _no_picture(held, unreadable)
    names, labels, class_names = layout(held, [header.name for header in headers])
    taken = set(names)
    headers = [header for header in headers if header.name in taken]
    channels = channels or (1 if all(header.grey for header in headers) else 3)
    shape = (*_size(held, headers, image_size), channels)
    white = _white(held, headers)
    of = _Pictures(held, names, labels, shape, image_size, way, white, unreadable)
    origin = str(root.absolute())
    counts = tuple(np.bincount(labels).tolist()) if class_names else ()
    about = facts.of_files(origin, root, names, counts)
    return Source(f"folder:{path}", "train", len(names), shape, class_names, of.read, of.everything, "uint8", origin, about)


@dataclass
class _Pictures:
    """The pictures of a folder, decoded when they are asked for; a damaged one is noted and told once."""

    held: Place
    names: list[str]
    labels: np.ndarray
    shape: tuple[int, ...]
    image_size: int | None
    way: str
    white: int
    unreadable: list[str]  # told with the first damaged ones
    bad: set[int] = field(default_factory=set)

    def read(self, numbers: np.ndarray) -> Arrays:
        """Returns pictures by their numbers, a damaged one replaced by the next that is readable."""
        self._report([])
        found, pixels = zip(*map(self._substitute, numbers.tolist()), strict=True)
        return np.stack(pixels), self.labels[list(found)]

    def everything(self) -> Arrays:
        """Returns all that are readable.

        Raises:
            ValueError: when none is.
        """
        images, kept = np.empty((len(self.names), *self.shape), np.uint8), np.zeros(len(self.names), bool)

        def store(number: int) -> None:
            if (pixels := self._decoded(number)) is not None:
                images[number], kept[number] = pixels, True

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(store, range(len(self.names))))
        self._report([name for name, good in zip(self.names, kept, strict=True) if not good])
        if not kept.any():
            raise _no_picture(self.held, ())
        return (images, self.labels) if kept.all() else (images[kept], self.labels[kept])

    def _report(self, more: Sequence[str]) -> None:
        named = self.unreadable + list(more)
        self.unreadable.clear()
        if named:
            told = listed(named)
            _log.warning("folder: %s: skipped %d that cannot be read as an image%s", self.held.root, len(named), told)

    def _decoded(self, number: int) -> np.ndarray | None:
        try:
            with pictures.opened(self.held.content(self.names[number])) as image:
                pixels = fit.picture(image, self.image_size, self.shape[-1], way=self.way, white=self.white)
        except Exception:  # a damaged file makes Pillow raise nearly anything
            return None
        return pixels if pixels.shape == self.shape else None

    def _substitute(self, number: int) -> tuple[int, np.ndarray]:
        for candidate in (*range(number, len(self.names)), *range(number)):
            if candidate in self.bad:
                continue
            if (pixels := self._decoded(candidate)) is not None:
                return candidate, pixels
            self.bad.add(candidate)
            self._report([self.names[candidate]])
        raise ValueError(f"folder: {self.held.root} holds no readable image any more")


def check(path: str | os.PathLike[str]) -> None:
    """Refuses a folder or .zip of fewer than 1,000 files without a readable picture; looks no further than the first.

    Raises:
        FileNotFoundError: when nothing is there.
        FieldError: when it holds no readable picture.
        ValueError: when it is a file of another kind, or a damaged .zip.
    """
    root = files.home_expanded(path)
    if root.is_dir() and len(list(itertools.islice(walk(root), _MANY))) == _MANY:  # to list all of a disk takes minutes
        return
    held = place(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if not any(_header(held, name, oriented=False) for name in held.names):
            raise _no_picture(held, held.names)


def _no_picture(held: Place, unreadable: Sequence[str]) -> FieldError:
    return FieldError("folder", held.root, f"holds no readable PNG, JPEG or WebP image{listed(unreadable)}", link=" ")


def _scan(held: Place, *, oriented: bool) -> tuple[list[_Header], list[str]]:
    """The headers of the pictures, and the names of the files that are none."""
    found, unreadable = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for name in held.names:
            if name == LABELS:
                continue
            header = _header(held, name, oriented)
            if header is None:
                unreadable.append(name)
            else:
                found.append(header)
    return found, unreadable


def _header(held: Place, name: str, oriented: bool) -> _Header | None:
    try:
        with pictures.opened(held.content(name), formats=pictures.FORMATS) as image:
            width, height = image.size
            # Pillow decodes a whole PNG to look for its orientation, so look only where it matters.
            if oriented and image.getexif().get(_ORIENTATION, 1) >= 5:
                width, height = height, width
            return _Header(name, (height, width), fit.is_grey(image), fit.is_deep(image))
    except Exception:  # as above
        return None


def _size(held: Place, headers: list[_Header], image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    sizes = sorted({header.size for header in headers})
    if len(sizes) > 1:
        (low, left), (high, right) = sizes[0], sizes[-1]
        told = f"{held.root} holds {len(sizes)} sizes, {low}x{left} to {high}x{right}; give one"
        raise FieldError("image_size", None, told)
    return sizes[0]


def _white(held: Place, headers: list[_Header]) -> int:
    """Returns the level that is white in pictures of more than 8 bits, and tells where it is not that of 16."""

    def largest(name: str) -> int:
        try:
            with pictures.opened(held.content(name)) as image:
                return int(np.asarray(image).max())
        except Exception:  # as above
            return 0

    deep = [header.name for header in headers if header.deep]
    if not deep:
        return _WHITES[-1]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        most = max(pool.map(largest, deep))
    white = next((each for each in _WHITES if most <= each), _WHITES[-1])
    if white != _WHITES[-1]:
        told = "folder: %s: the largest value of its 16-bit pictures is %s: read as %d bits, of which %s is white"
        _log.warning(told, held.root, f"{most:,}", (white + 1).bit_length() - 1, f"{white:,}")
    return white
