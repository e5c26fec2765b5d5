"""Large sets: batches read ahead by Grain's threads while the device works."""

import os
from collections.abc import Callable

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core.types import Batch, Dataset
from jaxgan.core.units import Units, to_trained
from jaxgan.data.conditions import with_condition
from jaxgan.data.measure import Form, Span, check_finite, span_of, units_of
from jaxgan.data.source import Arrays, Source, check_draw, check_step, local_rows, placed, rows, to_float
from jaxgan.system.messages import FieldError

_READ_AHEAD = 8  # batches
_CHUNK = 1024  # samples measured at a time
_STEPS = 2**31 - 1


def dataset(source: Source, form: Form) -> Dataset:
    """A `Dataset` of samples that are read when they are needed.

    It yields the very batches that the same samples would on the device: the order is `source.rows`, and Grain maps a
    step to its batch. In a run of several processes each reads the rows of its own devices only.

    Args:
        source: where to read.
        form: the wishes about the units of samples; where they must be measured, all samples are read once.

    Raises:
        FieldError: when the units do not fit the samples.
    """
    units = _units(source, form)._replace(unit=form.unit or source.unit, columns=source.columns)

    def read(numbers: np.ndarray) -> Arrays:
        samples, labels = source.read(numbers)
        return to_trained(samples, units), labels

    trained = source._replace(read=read)

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        check_draw(seed, batch_size, sharding)
        return _batches(trained, seed, batch_size, sharding)

    found = Dataset(source.name, source.split, source.shape, source.class_names, source.size, batches, units, source.facts)
    return found if source.condition is None else with_condition(found, source.condition, shown=source.shown)


def _units(source: Source, form: Form) -> Units:
    """Returns the units of samples, which are read once, a chunk at a time, unless they are bytes or vectors."""
    dtype, rank, auto = np.dtype(source.dtype), len(source.shape) + 1, form.measure == "auto" and not form.value_range
    if (auto and (rank == 2 or (dtype == np.uint8 and rank > 2))) or form.measure == "none":
        return units_of(dtype, rank, Span(np.zeros(1), np.ones(1)), form)
    if form.measure == "percentiles":
        raise FieldError("measure", form.measure, f"{source.name} is streamed: give value_range, or take minmax")
    spans = []
    for start in range(0, source.size, _CHUNK):
        samples = source.read(np.arange(start, min(start + _CHUNK, source.size)))[0]
        check_finite(samples, "samples", start)
        spans.append(span_of(samples))
    whole = Span(np.min([each.least for each in spans], 0), np.max([each.most for each in spans], 0))
    return units_of(dtype, rank, whole, form)


def _batches(source: Source, seed: int, batch_size: int, sharding: NamedSharding | None) -> Callable[..., Batch]:
    first, last = local_rows(batch_size, sharding)

    def read(step: int) -> Arrays:
        return source.read(rows(seed, source.size, step * batch_size + first, last - first))

    # One element is one whole batch: Grain's default of 500 elements ahead would fill the memory.
    options = grain.ReadOptions(num_threads=min(16, os.cpu_count() or 1), prefetch_buffer_size=_READ_AHEAD)
    iterator = iter(grain.MapDataset.range(_STEPS).map(read).to_iter_dataset(options))
    finish = jax.jit(to_float)
    upcoming = 0

    def draw(step: int, steps: int = 1) -> Batch:
        nonlocal upcoming
        step, steps = check_step(step, steps)
        if step != upcoming:
            iterator.set_state({"next_index": step})
        # Until this draw is whole its place in the stream is unknown, and the next one sets it.
        upcoming = -1
        images, labels = (np.stack(parts) for parts in zip(*(next(iterator) for _ in range(steps)), strict=True))
        upcoming = step + steps
        put = placed(batch_size, first, sharding)
        return {"image": finish(put(images)), "label": put(labels)}

    return draw
