"""Small sets: the whole of it on the device, pictures as uint8; each batch is gathered there by one compiled function."""

import math
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxgan.core.types import Batch, Dataset
from jaxgan.core.units import to_trained
from jaxgan.data import facts
from jaxgan.data.conditions import with_condition
from jaxgan.data.measure import Form, measured
from jaxgan.data.source import Source, check_draw, check_step, over_steps, rows, to_float
from jaxgan.system import devices

_AHEAD = 16  # batches gathered at once
_AHEAD_BYTES = 2**24  # that they may take on the devices


def dataset(source: Source, form: Form) -> Dataset:
    """A `Dataset` of samples that fit into memory; classes without samples are left out.

    Args:
        source: of samples in the user's units.
        form: the wishes about their units.

    Raises:
        FieldError: when the units do not fit the samples.
    """
    name, split = source.name, source.split
    samples, labels = source.everything()
    labels, class_names = facts.present(labels, source.class_names)
    units = measured(samples, form)._replace(unit=form.unit or source.unit, columns=source.columns)
    images = to_trained(samples, units)
    about = facts.of_arrays(source.origin or name, samples, labels, class_names)

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        check_draw(seed, batch_size, sharding)
        return _batches(images, labels, seed, batch_size, sharding)

    found = Dataset(name, split, images.shape[1:], class_names, len(images), batches, units, about)
    return found if source.condition is None else with_condition(found, source.condition, shown=source.shown)


def _batches(
    images: np.ndarray, labels: np.ndarray, seed: int, batch_size: int, sharding: NamedSharding | None
) -> Callable[..., Batch]:
    # Whole on each device, so that each gathers its own rows and none is sent from one to another. Of several processes each
    # needs all of the set in its memory, and hands it to its own devices.
    arrays = (images, labels)
    stored = jax.device_put(arrays) if sharding is None else devices.put(arrays, devices.whole(sharding.mesh))
    placed = None if sharding is None else over_steps(sharding)
    gather = jax.jit(_gather, out_shardings=placed)
    gather_many = jax.jit(_gather_many, out_shardings=placed)
    many = min(_AHEAD, _AHEAD_BYTES // max(4 * math.prod(images.shape[1:]) * batch_size, 1))
    ahead: list[Batch] = []  # of the steps from `upcoming` on, the last first
    upcoming = -1

    def chosen(step: int, count: int) -> np.ndarray:
        # The order is made on the host once an epoch: a permutation inside the step costs 30 ms on a CPU.
        return rows(seed, len(images), step * batch_size, count * batch_size).reshape(count, batch_size)

    def draw(step: int, steps: int = 1) -> Batch:
        nonlocal upcoming
        step, steps = check_step(step, steps)
        if step != upcoming or steps > 1:
            ahead.clear()
        upcoming = step + steps
        if steps > 1 or many < 2:
            return gather(*stored, chosen(step, steps))
        if not ahead:  # gathered one by one, batches would cost the host as much as all else that it does at a step
            ahead.extend(reversed(gather_many(*stored, chosen(step, many))))
        return ahead.pop()

    return draw


def _gather(images: jax.Array, labels: jax.Array, chosen: jax.Array) -> Batch:
    return {"image": to_float(images[chosen]), "label": labels[chosen]}


def _gather_many(images: jax.Array, labels: jax.Array, chosen: jax.Array) -> list[Batch]:
    """The batches of as many steps as there are rows in `chosen`."""
    batches = _gather(images, labels, chosen)
    return [jax.tree.map(lambda x, i=i: x[i : i + 1], batches) for i in range(len(chosen))]
