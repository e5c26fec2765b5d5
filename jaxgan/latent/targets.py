"""Images to project: files or arrays of any size and range, fitted to what the generator's networks see."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan.core.units import Units, as_bytes, to_trained
from jaxgan.data import fit
from jaxgan.pictures import are_pictures
from jaxgan.system import arrays, files, images
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))  # that floats of pictures have, the narrowest first


class Targets(NamedTuple):
    """Samples in [-1, 1] with a name each."""

    images: np.ndarray  # [T, *shape] float32
    names: tuple[str, ...]


def read(given: Any, shape: tuple[int, ...], units: Units | None, way: str = "crop") -> Targets:
    """Returns samples as networks see them.

    Pictures of another size or another number of channels are fitted as the data of a training are: the largest central
    square (or as `way` says), by Lanczos, see `data.fit`; a line tells of how many.

    Args:
        given: paths of pictures, folders of these, `.npz` files with an array `images`; or an array `[N, ...]`, or one sample.
        shape: of a sample.
        units: of the data; None of pictures in bytes.
        way: in which a picture becomes a square.

    Raises:
        FileNotFoundError: when there is no such file.
        FieldError: when a file is no picture, or samples do not fit.
    """
    if isinstance(given, (str, Path)) or (isinstance(given, Sequence) and given and isinstance(given[0], (str, Path))):
        parts = [_of_path(files.home_expanded(each), shape, units, way) for each in _each(given)]
    else:
        parts = [_of_array(np.asarray(given), "images", shape, units, way)]
    changed = sum(part[1] for part in parts)
    found = Targets(np.concatenate([part[0].images for part in parts]), tuple(n for part in parts for n in part[0].names))
    if changed:
        words = {"crop": "the central square", "letterbox": "the whole on a black square", "squeeze": "the whole"}[way]
        size = "x".join(map(str, shape))
        _log.warning("images: %d of %d fitted to %s: %s, resized by Lanczos", changed, len(found.names), size, words)
    return found


def _each(given: Any) -> list[str | Path]:
    return [given] if isinstance(given, (str, Path)) else list(given)


def _of_path(path: Path, shape: tuple[int, ...], units: Units | None, way: str) -> tuple[Targets, int]:
    """Returns the samples of a file or folder, and how many of them were fitted."""
    if path.suffix == ".npz":
        return _of_npz(path, shape, units, way)
    if not are_pictures(shape, units):
        told = f"this generator makes samples of shape {list(shape)}; give an .npz with an array images"
        raise FieldError("IMAGE", path, told)
    if path.is_dir():
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES)
        if not inside:
            raise FieldError("IMAGE", path, f"it holds no {', '.join(SUFFIXES)}")
        parts = [_of_picture(each, shape, way) for each in inside]
        names = tuple(str(each.relative_to(path)) for each in inside)
        return Targets(np.concatenate([part[0] for part in parts]), names), sum(part[1] for part in parts)
    found, changed = _of_picture(path, shape, way)
    return Targets(found, (path.name,)), changed


def _of_npz(path: Path, shape: tuple[int, ...], units: Units | None, way: str) -> tuple[Targets, int]:
    try:
        held, names = arrays.npz(path, ["images"])
    except files.Missing as error:
        raise error.of("IMAGE") from None
    except files.Unreadable as error:
        raise FieldError("IMAGE", f"{path} is damaged or no .npz of plain arrays", error.cause, link=": ") from error
    if "images" not in held:
        raise FieldError("IMAGE", f"{path} holds {', '.join(names) or 'nothing'}", "it must hold an array images")
    return _of_array(held["images"], path.name, shape, units, way)


def _of_picture(path: Path, shape: tuple[int, ...], way: str) -> tuple[np.ndarray, bool]:
    """Returns a picture `[1, *shape]` in [-1, 1], and True where its size changed."""
    try:
        with images.opened(path) as image:
            pixels = fit.picture(image, None, shape[2] if shape[2] != 2 else 3)
    except files.Missing as error:
        raise error.of("IMAGE") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        told = f"it must be a folder or one of {', '.join((*SUFFIXES, '.npz'))}"
        raise FieldError("IMAGE", f"{path} cannot be read as a picture", told, link="; ") from error
    fitted = _fitted(pixels[None], path.name, shape, way)
    return _in_range(fitted, path.name, None), fitted.shape[1:3] != pixels.shape[:2]


def _of_array(given: np.ndarray, name: str, shape: tuple[int, ...], units: Units | None, way: str) -> tuple[Targets, int]:
    x = given
    if x.dtype.kind not in "fiub" or not x.size:
        raise FieldError(name, f"{x.dtype} {list(x.shape)}", "it must be samples, numbers [N, ...]")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise FieldError(name, "values that are not finite", "each must be a number", link="; ")
    if x.ndim == len(shape) and x.shape[1:] != shape:
        x = x[..., None] if len(shape) > 1 and shape[-1] == 1 and x.shape[1:] == shape[:-1] else x[None]
    plain = are_pictures(shape, units)
    fitted = _fitted(x, name, shape, way) if plain else x
    if fitted.shape[1:] != shape:
        raise FieldError(name, f"of shape {list(given.shape)}", f"the generator makes {list(shape)}")
    changed = len(x) if fitted.shape != x.shape else 0
    bytes_ = units is None or units.are_bytes
    trained = _in_range(fitted, name, None if bytes_ else units) if plain else _trained(fitted, units)
    return Targets(trained, tuple(f"{name}[{i}]" for i in range(len(x)))), changed


def _fitted(x: np.ndarray, name: str, shape: tuple[int, ...], way: str) -> np.ndarray:
    """Returns pictures of the generator's size and channels."""
    if x.shape[1:] == shape:
        return x
    if x.ndim != 4 or shape[0] != shape[1]:
        raise FieldError(
            name, f"of shape {list(x.shape[1:])}", f"the generator makes {list(shape)}, to which nothing is resized"
        )
    x = x if x.dtype == np.uint8 else as_bytes(_in_range(x, name, None))
    try:
        return fit.arrays(x, shape[0], shape[2], way)
    except ValueError as error:
        raise FieldError(name, f"of shape {list(x.shape[1:])}", f"the generator makes {list(shape)}") from error


def _in_range(x: np.ndarray, name: str, units: Units | None) -> np.ndarray:
    """Returns pictures in [-1, 1]: bytes by their range, floats by the units or else by the narrowest range that holds them."""
    if x.dtype == np.uint8:
        return x.astype(np.float32) / 127.5 - 1.0
    low, high = (units.low[0], units.high[0]) if units is not None and units.low else (0.0, 0.0)
    least, most = float(x.min()), float(x.max())
    if low == high:
        held = [ends for ends in _RANGES if ends[0] <= least and most <= ends[1]]
        if not held:
            told = "pictures are floats in [0, 1] or [-1, 1], or 0 to 255"
            raise FieldError(name, f"values from {least:g} to {most:g}", told)
        low, high = held[0]
    return ((x.astype(np.float64) - low) * (2.0 / (high - low)) - 1.0).astype(np.float32)


def _trained(x: np.ndarray, units: Units | None) -> np.ndarray:
    return x.astype(np.float32) if units is None else np.asarray(to_trained(x, units), np.float32)
