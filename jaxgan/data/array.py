"""Samples that are arrays already: in memory or in an .npz file."""

import os
from typing import Any

import numpy as np

from jaxgan.core import conditions
from jaxgan.data import fit
from jaxgan.data.measure import as_samples
from jaxgan.data.source import Source
from jaxgan.system import arrays, files
from jaxgan.system.messages import FieldError

_SAMPLE_KEYS = ("images", "image", "samples", "x")
_LABEL_KEYS = ("labels", "label", "y")


def source(
    samples: Any,
    labels: Any = None,
    class_names: tuple[str, ...] = (),
    *,
    condition: Any = None,
    name: str = "array",
    dimensions: int | None = None,
) -> Source:
    """Samples and labels in memory as a `Source`.

    Args:
        samples: as for `measure.as_samples`.
        labels: `[N]` integers from 0, or None for samples without classes.
        class_names: one for each class; the numbers themselves when empty.
        condition: of the samples, see `conditions.with_condition`; None for none.
        name: for messages.
        dimensions: as for `measure.as_samples`.

    Raises:
        FieldError: one line with what is wrong.
    """
    array = as_samples(samples, dimensions)
    numbers, class_names = labelled(len(array), labels, class_names)
    return of_arrays(name, array, numbers, class_names)._replace(condition=condition)


def of_arrays(name: str, samples: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], origin: str = "") -> Source:
    """Arrays in the library's form as a `Source`."""
    return Source(
        name,
        "train",
        len(samples),
        samples.shape[1:],
        class_names,
        lambda numbers: (samples[numbers], labels[numbers]),
        lambda: (samples, labels),
        samples.dtype.name,
        origin,
    )


def labelled(size: int, labels: Any, class_names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns labels `[N]` int32, zeros where there are none, and the names of the classes.

    Raises:
        FieldError: when they are not N integers from 0.
    """
    if labels is None:
        return np.zeros(size, np.int32), ()
    labels = np.asarray(labels)
    if labels.shape != (size,) or not np.issubdtype(labels.dtype, np.integer):
        raise FieldError("labels", f"{labels.dtype} {labels.shape}", f"they must be {size} integers")
    classes = len(class_names) or int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= classes or classes > 2**20:
        allowed = len(class_names) or 2**20
        raise FieldError("labels", f"{labels.min()} to {labels.max()}", f"they must be from 0 to {allowed - 1}")
    return labels.astype(np.int32), class_names or tuple(str(number) for number in range(classes))


def npz(
    path: str | os.PathLike[str], image_size: int | None, channels: int | None, dimensions: int | None, way: str = "crop"
) -> Source:
    """Samples and labels from an .npz file with the keys `images` (or `image`, `samples`, `x`) and `labels` (or `label`, `y`).

    A condition has the key `condition`, or `condition/NAME` for each array of several.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is damaged or its arrays have another form.
    """
    path = files.home_expanded(path)
    try:
        keys = arrays.npz(path, ())[1]
        of_condition = [key for key in keys if key.partition("/")[0] == conditions.ALONE]
        found, keys = arrays.npz(path, (*_SAMPLE_KEYS, *_LABEL_KEYS, *of_condition))
    except files.Missing as error:
        raise error.of("npz") from None
    except files.Unreadable as error:
        raise ValueError(f"npz: {path} is damaged or no .npz of plain arrays: {error.cause}") from None
    sample_key = next((key for key in _SAMPLE_KEYS if key in found), None)
    label_key = next((key for key in _LABEL_KEYS if key in found), None)
    if sample_key is None:
        raise ValueError(f"npz: {path} holds {', '.join(keys) or 'nothing'}, but no {', '.join(_SAMPLE_KEYS)}")
    try:
        samples = as_samples(found[sample_key], dimensions)
        labels, class_names = labelled(len(samples), None if label_key is None else found[label_key], ())
        samples = fit.arrays(samples, image_size, channels, way)
        condition = None
        if of_condition:
            condition = conditions.as_arrays(conditions.of_names(found), len(samples))
    except ValueError as error:
        raise ValueError(f"npz: {path}: {error}") from None
    return of_arrays(f"npz:{path}", samples, labels, class_names, str(path.absolute()))._replace(condition=condition)
