"""The loop around `gan.step`: batches in, steps many to a dispatch, and a pause wherever something is due."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan import build
from jaxgan.build import Shape
from jaxgan.recipes import Recipe, members
from jaxgan.types import GAN, Batch, Dataset, GANState, Info, Key


class Prepared(NamedTuple):
    """What the loop needs."""

    gan: GAN
    batches: Callable[..., Batch]  # (step, steps) -> [steps, B, ...]; of several GANs [steps, N, B, ...]
    abstract: GANState  # shapes, and where the leaves lie


class Event(NamedTuple):
    """A moment of training at which something is due."""

    step: int
    state: GANState
    seconds: float
    means: dict[str, np.ndarray]  # of each scalar of `info` since the last row: [] of one GAN, [N] of several; {} at a picture
    row: bool  # of metrics
    sample: bool
    save: bool
    stop: int  # number of the signal that came, or 0


def prepare(recipe: Recipe, dataset: Dataset, shape: Shape) -> Prepared:
    """Builds the GAN and its batches, and says where everything lies.

    One GAN's batches are cut along the batch axis over all devices, each of which holds the whole state. Several GANs
    are themselves divided among the devices: none needs another's arrays.

    Raises:
        ValueError: when the batch fits neither the data nor the devices, or the networks not the data.
    """
    rows, count, every = build.batch_rows(recipe), jax.device_count(), members(recipe)
    if dataset.size is not None and rows > dataset.size:
        raise ValueError(
            f"batch_size: {recipe.batch_size}, but {dataset.name}/{dataset.split} holds {dataset.size} images "
            f"and one step takes {rows}"
        )
    if len(every) == 1 and recipe.batch_size % count:
        raise ValueError(f"batch_size: {recipe.batch_size}, but it must be a multiple of the {count} devices")
    gan = build.build(recipe, shape)
    abstract = jax.eval_shape(lambda: gan.init(build.key(recipe)))
    devices = jax.devices()[: count if len(every) == 1 else math.gcd(count, len(every))]
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    whole, cut, apart = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",), (None, "data")))

    def placed(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        divided = len(every) > 1 and leaf.ndim > 0
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=cut if divided else whole)

    if len(every) == 1:
        batches = dataset.batches(recipe.seed, rows, cut)
    else:
        draws = {each.seed: dataset.batches(each.seed, rows, whole) for each in every}
        stack = jax.jit(lambda *each: jax.tree.map(lambda *x: jnp.stack(x, axis=1), *each), out_shardings=apart)

        def batches(step: int, steps: int = 1) -> Batch:
            drawn = {seed: draw(step, steps) for seed, draw in draws.items()}
            batch: Batch = stack(*(drawn[each.seed] for each in every))
            return batch

    return Prepared(gan, batches, jax.tree.map(placed, abstract))


def steps(
    prepared: Prepared,
    state: GANState,
    recipe: Recipe,
    *,
    seconds: float = 0.0,
    stop: list[int],
    progress: Callable[[int], Any],
) -> Iterator[Event]:
    """Advances the state to `recipe.steps`, pausing at each step at which a row, a picture or a checkpoint is due.

    Args:
        prepared: of the recipe.
        state: to go on from; its buffers are donated.
        recipe: says when what is due.
        seconds: of training before.
        stop: once it holds a signal's number, the step under way is the last.
        progress: is told of the steps made.

    Yields:
        An `Event`; the loop goes on when the next is asked for.
    """
    advance, key = _advance(prepared.gan, recipe), build.key(recipe)
    intervals = (recipe.log_interval, recipe.sample_interval, recipe.checkpoint_interval)
    infos: list[tuple[Info, int]] = []
    step, began = int(state.step), time.perf_counter() - seconds
    while step < recipe.steps:
        due = min([recipe.steps, *((step // interval + 1) * interval for interval in intervals)])
        count = min(recipe.steps_per_dispatch, due - step)
        state, info = advance(state, prepared.batches(step, recipe.steps_per_dispatch), jnp.int32(count), key)
        infos.append((info, count))
        step += count
        if len(infos) > 2:
            jax.block_until_ready(infos[-3])  # no more than two dispatches ahead of the device
        progress(count)
        signal_number, last = stop[0] if stop else 0, step == recipe.steps
        if step < due and not signal_number:
            continue
        row, sample = (last or step % interval == 0 for interval in (recipe.log_interval, recipe.sample_interval))
        save = last or bool(signal_number) or step % recipe.checkpoint_interval == 0
        means = _mean(infos) if row or save else {}
        infos = [] if row else infos
        yield Event(step, state, time.perf_counter() - began, means, row, sample, save, signal_number)
        if signal_number:
            return


def _advance(gan: GAN, recipe: Recipe) -> Callable[[GANState, Batch, jax.Array, Key], tuple[GANState, Info]]:
    """The compiled program: `count` steps on batches `[steps, B, ...]`, and the mean of their infos."""

    def one(state: GANState, batches: Batch, _: jax.Array, key: Key) -> tuple[GANState, Info]:
        return gan.step(state, jax.tree.map(lambda x: x[0], batches), key)

    def several(state: GANState, batches: Batch, count: jax.Array, key: Key) -> tuple[GANState, Info]:
        def body(i: jax.Array, carry: tuple[GANState, Info]) -> tuple[GANState, Info]:
            state, info = gan.step(carry[0], jax.tree.map(lambda x: x[i], batches), key)
            return state, jax.tree.map(lambda total, x: total + x / count, carry[1], info)

        info = jax.eval_shape(gan.step, state, jax.tree.map(lambda x: x[0], batches), key)[1]
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), info)
        # The count is traced: one program for every count, so that a run cut anywhere computes the same.
        return jax.lax.fori_loop(0, count, body, (state, zeros))

    return jax.jit(one if recipe.steps_per_dispatch == 1 else several, donate_argnums=0)


def _mean(infos: list[tuple[Info, int]]) -> dict[str, np.ndarray]:
    values, counts = jax.device_get([info for info, _ in infos]), [count for _, count in infos]
    return {name: np.average([value[name] for value in values], axis=0, weights=counts) for name in values[0]}
