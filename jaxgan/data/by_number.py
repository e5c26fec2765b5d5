"""Samples of the user's own source, read by number: a sequence, a `grain.MapDataset`, a memory map."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgan.core import conditions
from jaxgan.core.units import Facts
from jaxgan.data import array, facts
from jaxgan.data.measure import as_samples
from jaxgan.data.source import Arrays, Source
from jaxgan.system.messages import FieldError, kind_of

_SAMPLE_KEYS = ("image", "sample", "x")
_LABEL_KEYS = ("label", "y")
_PROBES = 64  # elements that a fingerprint is computed of


def source(elements: Any, name: str, class_names: tuple[str, ...] = (), dimensions: int | None = None) -> Source:
    """Returns a `Source` of elements that are read by number.

    Args:
        elements: has `len(elements)` and `elements[i]`; see `data.from_source` for what an element may be.
        name: for messages.
        class_names: one for each class; elements with labels are read once, to count them.
        dimensions: as for `measure.as_samples`.

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

    _first, label = at(0)

    def read(numbers: np.ndarray) -> Arrays:
        samples, labels = zip(*(at(int(i)) for i in numbers), strict=True)
        for what, found in (("shapes", {each.shape for each in samples}), ("kinds", {each.dtype.kind for each in samples})):
            if len(found) > 1:
                told = f"{name} holds samples of the {what} {sorted(found)}"
                raise FieldError("data", told, f"they must be of one {what.rstrip('s')}")
        stacked = as_samples(np.stack(samples), dimensions)
        if label is None:
            return stacked, np.zeros(len(stacked), np.int32)
        classes, _ = array.labelled(len(stacked), np.array(labels, np.int64), class_names if there is None else names)
        return stacked, classes if there is None else np.searchsorted(there, classes).astype(np.int32)

    there: np.ndarray | None = None  # labels that occur, where all were read
    names, counts = class_names, tuple[int, ...]()
    if label is not None and not class_names:
        every = np.array([at(i)[1] or 0 for i in range(size)], np.int64)
        _, names = array.labelled(size, every, ())
        there, counted = np.unique(every, return_counts=True)
        class_names, counts = tuple(names[i] for i in there), tuple(counted.tolist())
    probe = read(np.zeros(1, np.int64))[0]
    about = _facts(name, size, read, class_names, counts)
    dtype = probe.dtype.name
    found = Source(name, "train", size, probe.shape[1:], class_names, read, lambda: read(np.arange(size)), dtype, "", about)
    return found._replace(condition=_conditions(elements))


def _conditions(elements: Any) -> Callable[[np.ndarray], Any] | None:
    """Returns what reads the conditions of elements that hold one, under the key `condition`; None where they hold none."""
    first = elements[0]
    if not isinstance(first, dict) or conditions.ALONE not in first:
        return None

    def read(numbers: np.ndarray) -> Any:
        found = []
        for i in numbers:
            element = elements[int(i)]
            if conditions.ALONE not in element:
                raise FieldError(conditions.ALONE, f"element {i} holds none", "that of element 0 does")
            found.append(conditions.named(conditions.each(np.asarray, element[conditions.ALONE])))
        forms = [[(name, x.shape) for name, x in each.items()] for each in found]
        for i, form in zip(numbers, forms, strict=True):
            if form != forms[0]:
                raise FieldError(
                    conditions.ALONE, f"element {i} has another form than element {numbers[0]}", "all must have one"
                )
        return conditions.of_names({name: np.stack([each[name] for each in found]) for name in found[0]})

    return read


def _facts(
    name: str, size: int, read: Callable[[np.ndarray], Arrays], class_names: tuple[str, ...], counts: tuple[int, ...]
) -> Callable[[], Facts]:
    """Returns a function that computes the facts of a source from some of its elements, which must be the same each time."""

    @functools.cache
    def compute() -> Facts:
        numbers = np.unique(np.linspace(0, size - 1, _PROBES).astype(np.int64))
        digests = [facts.of_arrays(name, *read(numbers), class_names)().fingerprint for _ in range(2)]
        return Facts(name, counts, None, None, f"{digests[0]}-{size}" if digests[0] == digests[1] else None)

    return compute


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
        raise FieldError("data", f"an element of {name} is {kind_of(element)}", "it must be an array")
    return sample, None if label is None else int(label)
