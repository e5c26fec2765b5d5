"""Conditions beside the samples of a data set: each batch holds them under `condition`, and networks get them unchanged."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core import conditions
from jaxgan.core.types import Batch, Dataset
from jaxgan.core.units import Facts
from jaxgan.data.source import check_step, local_rows, placed, rows
from jaxgan.system.messages import FieldError

SHOWN = 64  # conditions that pictures are drawn for
_PROBES = 64  # samples whose conditions make the fingerprint of a source read by number

Read = Callable[[np.ndarray], conditions.Arrays]  # numbers of samples -> their conditions


def with_condition(dataset: Dataset, condition: Any, *, shown: Any = None) -> Dataset:
    """Gives each sample of a data set its condition.

    Args:
        dataset: of a known size, one of this folder's: its order is `source.rows`.
        condition: an array `[N, ...]`, or dicts of arrays, in the order of the samples; or a function of numbers of
            samples `[n]` that returns their conditions `[n, ...]`.
        shown: conditions that pictures, and by default samples, are drawn for; the first of the data when None.

    Returns:
        A `Dataset`. Where the samples have classes too, networks get the condition and not the labels; the
        condition may hold the labels.

    Raises:
        FieldError: when the condition is not for N samples, or of another form than `core/conditions.py` describes.
    """
    if dataset.size is None:
        raise FieldError("condition", f"{dataset.name} is drawn without end", "conditions need samples that can be counted")
    size, read = dataset.size, condition
    if not callable(condition):
        read = functools.partial(conditions.take, conditions.as_arrays(condition, size))
    first = conditions.as_arrays(read(np.arange(min(SHOWN, size))))
    form = conditions.form_of(first)
    if shown is not None:
        first = conditions.as_arrays(shown, field="shown")
        if conditions.form_of(first) != form:
            told = conditions.words(conditions.form_of(first))
            raise FieldError("shown", told, f"the condition of a sample is {conditions.words(form)}")

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        return _batches(dataset, read, form, seed, batch_size, sharding)

    of_samples = dataset.facts

    def facts() -> Facts:
        assert of_samples is not None
        return _with_digest(of_samples(), read, size, everything=not callable(condition))

    about = None if of_samples is None else functools.cache(facts)
    return dataset._replace(batches=batches, condition=form, shown=first, facts=about)


def without_condition(dataset: Dataset) -> Dataset:
    """Returns the data set without its conditions, for networks that take none."""

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        draw = dataset.batches(seed, batch_size, sharding)
        return lambda *of: {name: x for name, x in draw(*of).items() if name != "condition"}

    return dataset if dataset.condition is None else dataset._replace(batches=batches, condition=None, shown=None)


def _batches(
    dataset: Dataset, read: Read, form: Any, seed: int, batch_size: int, sharding: NamedSharding | None
) -> Callable[..., Batch]:
    draw, size = dataset.batches(seed, batch_size, sharding), dataset.size
    first, last = local_rows(batch_size, sharding)
    put = placed(batch_size, first, sharding)
    assert size is not None

    def drawn(step: int, steps: int = 1) -> Batch:
        step, steps = check_step(step, steps)
        batch = draw(step, steps)
        numbers = rows(seed, size, step * batch_size, steps * batch_size).reshape(steps, batch_size)[:, first:last]
        found = conditions.as_arrays(read(numbers.reshape(-1)), numbers.size)
        if conditions.form_of(found) != form:
            told = conditions.words(conditions.form_of(found))
            raise FieldError("condition", told, f"that of the first samples is {conditions.words(form)}")
        return batch | {"condition": jax.tree.map(lambda x: put(x.reshape(*numbers.shape, *x.shape[1:])), found)}

    return drawn


def _with_digest(found: Facts, read: Read, size: int, *, everything: bool) -> Facts:
    """Returns facts whose fingerprint also depends on the conditions."""
    numbers = np.arange(size) if everything else np.unique(np.linspace(0, size - 1, _PROBES).astype(np.int64))
    seen = hashlib.sha256(str(found.fingerprint).encode())
    for name, array in conditions.flat(conditions.as_arrays(read(numbers))).items():
        little = array.dtype.newbyteorder("<")
        seen.update(f"{name} {little.str} {array.shape}".encode())
        seen.update(np.ascontiguousarray(array, little).tobytes())
    return found if found.fingerprint is None else found._replace(fingerprint=seen.hexdigest())
