"""Samples of the user's own source, read by number: a sequence, a `grain.MapDataset`, a memory map."""

from typing import Any

import numpy as np

from jaxgan.data import array
from jaxgan.data.source import Arrays, Source
from jaxgan.system.messages import FieldError

_SAMPLE_KEYS = ("image", "sample", "x")
_LABEL_KEYS = ("label", "y")


def source(elements: Any, name: str, class_names: tuple[str, ...] = ()) -> Source:
    """Returns a `Source` of elements that are read by number.

    Args:
        elements: has `len(elements)` and `elements[i]`; see `data.from_source` for what an element may be.
        name: for messages.
        class_names: one for each class; when empty and elements have labels, all labels are read once.

    Raises:
        FieldError: when an element is nothing of the kind, or the samples are of several shapes.
    """
    size = len(elements)
    if size < 1:
        raise FieldError("data", f"{name} holds no samples", "it must hold at least one", link="; ")

    def at(i: int) -> tuple[np.ndarray, int | None]:
        try:
            element = elements[i]
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise FieldError("data", f"element {i} of {name} raised {told}", "each must be read", link="; ") from error
        return _element(element, name)

    first, label = at(0)

    def read(numbers: np.ndarray) -> Arrays:
        samples, labels = zip(*(at(int(i)) for i in numbers), strict=True)
        shapes = {each.shape for each in samples}
        if len(shapes) > 1:
            raise FieldError("data", f"{name} holds samples of the shapes {sorted(shapes)}", "they must be of one shape")
        return array.checked(np.stack(samples), None if label is None else np.array(labels, np.int64))[0]

    if label is not None and not class_names:
        most = max(int(at(i)[1] or 0) for i in range(size))
        class_names = tuple(map(str, range(most + 1)))
    shape = read(np.zeros(1, np.int64))[0].shape[1:]
    assert first is not None
    return Source(name, "train", size, shape, class_names, read, lambda: read(np.arange(size)))


def _element(element: Any, name: str) -> tuple[np.ndarray, int | None]:
    """Returns a sample and its label, None where there is none."""
    label: Any = None
    if isinstance(element, dict):
        keys = [key for key in _SAMPLE_KEYS if key in element]
        if not keys:
            raise FieldError("data", f"an element of {name} holds {', '.join(map(str, element))}", "it must hold image or x")
        label = next((element[key] for key in _LABEL_KEYS if key in element), None)
        element = element[keys[0]]
    elif isinstance(element, tuple) and len(element) == 2:
        element, label = element
    sample = np.asarray(element)
    if sample.dtype == object or sample.ndim == 0:
        raise FieldError("data", f"an element of {name} is a {type(element).__name__}", "it must be an array")
    return sample, None if label is None else int(label)
