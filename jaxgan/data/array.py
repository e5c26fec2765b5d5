"""Images that are arrays already: in memory or in an .npz file."""

import os
from typing import Any

import numpy as np

from jaxgan.data import fit
from jaxgan.data.source import Arrays
from jaxgan.system import arrays, files
from jaxgan.system.messages import FieldError

_IMAGE_KEYS = ("images", "image", "x")
_LABEL_KEYS = ("labels", "label", "y")


def checked(images: Any, labels: Any = None, class_names: tuple[str, ...] = ()) -> tuple[Arrays, tuple[str, ...]]:
    """Images and labels in the library's form, and the names of the classes.

    Args:
        images: `[N, H, W, C]` with 1 to 4 channels or `[N, H, W]`; uint8, or floats in [-1, 1]. Or vectors `[N, F]`, real
            numbers in any range.
        labels: `[N]` integers from 0, or None for images without classes.
        class_names: one for each class; the numbers themselves when empty.

    Returns:
        (images `[N, H, W, C]` uint8 or float32, labels `[N]` int32), class_names.

    Raises:
        ValueError: one line with what is wrong.
    """
    images = np.asarray(images)
    if images.ndim == 2:
        return _labelled(_vectors(images), labels, class_names)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape or images.shape[-1] > 4:
        raise FieldError("images", f"shape {images.shape}", "it must be [N, H, W] or [N, H, W, C] with 1 to 4 channels")
    if np.issubdtype(images.dtype, np.floating):
        images = images.astype(np.float32)
        if not np.all(np.abs(images) <= 1):
            raise FieldError("images", "floats outside [-1, 1]", "they must lie in it")
    elif images.dtype != np.uint8:
        raise FieldError("images", f"dtype {images.dtype}", "it must be uint8 or a float in [-1, 1]")
    return _labelled(images, labels, class_names)


def _vectors(samples: np.ndarray) -> np.ndarray:
    """Points or rows of numbers, `[N, F]`, in whatever range they are: networks see them as they are."""
    if 0 in samples.shape or not np.issubdtype(samples.dtype, np.number) or np.iscomplexobj(samples):
        raise FieldError("samples", f"{samples.dtype} {samples.shape}", "vectors must be [N, F] real numbers")
    samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(samples))[0]))
        raise FieldError("samples", f"{samples[where]} at {list(where)}", "they must be finite")
    return samples


def _labelled(images: np.ndarray, labels: Any, class_names: tuple[str, ...]) -> tuple[Arrays, tuple[str, ...]]:
    if labels is None:
        return (images, np.zeros(len(images), np.int32)), ()
    labels = np.asarray(labels)
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise FieldError("labels", f"{labels.dtype} {labels.shape}", f"they must be {len(images)} integers")
    classes = len(class_names) or int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= classes or classes > 2**20:
        allowed = len(class_names) or 2**20
        raise FieldError("labels", f"{labels.min()} to {labels.max()}", f"they must be from 0 to {allowed - 1}")
    return (images, labels.astype(np.int32)), class_names or tuple(str(number) for number in range(classes))


def npz(path: str | os.PathLike[str], image_size: int | None, channels: int | None) -> tuple[Arrays, tuple[str, ...]]:
    """Images and labels from an .npz file with the keys `images` (or `image`, `x`) and `labels` (or `label`, `y`).

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is damaged or its arrays have another form.
    """
    path = files.home_expanded(path)
    try:
        found, keys = arrays.npz(path, (*_IMAGE_KEYS, *_LABEL_KEYS))
    except files.Missing:
        raise FileNotFoundError(f"npz: {path} does not exist") from None
    except files.Unreadable as error:
        raise ValueError(f"npz: {path} is damaged or no .npz of plain arrays: {error.cause}") from None
    image_key = next((key for key in _IMAGE_KEYS if key in found), None)
    label_key = next((key for key in _LABEL_KEYS if key in found), None)
    if image_key is None:
        raise ValueError(f"npz: {path} holds {', '.join(keys) or 'nothing'}, but no {', '.join(_IMAGE_KEYS)}")
    try:
        (images, labels), class_names = checked(found[image_key], None if label_key is None else found[label_key])
        return (fit.arrays(images, image_size, channels), labels), class_names
    except ValueError as error:
        raise ValueError(f"npz: {path}: {error}") from None
