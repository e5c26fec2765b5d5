"""The loop around `gan.step`: batches in, steps many to a dispatch, and a pause wherever something is due."""

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.core.types import GAN, Batch, GANState, Info, Key, Player, PyTree
from jaxgan.recipes import Recipe, Shard, check_divides
from jaxgan.system import devices
from jaxgan.system.messages import FieldError
from jaxgan.training.experiment import Experiment

_NEVER = 2**31 - 1


class Prepared(NamedTuple):
    """Everything that the loop needs."""

    gan: GAN
    batches: Callable[..., Batch]  # (step, steps) -> [steps, B, ...]; of several GANs [steps, N, B, ...]
    abstract: GANState  # shapes, and where the leaves lie


class Event(NamedTuple):
    """A moment of training at which something is due."""

    step: int
    state: GANState
    seconds: float
    means: dict[str, np.ndarray]  # of each scalar of `info` since the last row: [] of one GAN, [N] of several
    row: bool  # of metrics
    sample: bool
    save: bool
    stop: int  # number of the signal that came, or 0


class Program(NamedTuple):
    """Compiled steps: (state, batches `[steps, B, ...]`, count) -> (state, info). The state's buffers are donated."""

    run: jax.stages.Wrapped
    rest: Callable[[int], tuple[jax.Array, ...]]  # count -> its further arguments

    def __call__(self, state: GANState, batches: Batch, count: int) -> tuple[GANState, Info]:
        after: tuple[GANState, Info] = self.run(state, batches, *self.rest(count))
        return after

    def lower(self, state: GANState, batches: Batch, count: int) -> jax.stages.Lowered:
        """Returns what such a call compiles, and then finds compiled."""
        return self.run.lower(state, batches, *self.rest(count))


def prepare(experiment: Experiment) -> Prepared:
    """Lays an experiment out over the devices: its state and its batches.

    One GAN's batches are sharded along the batch axis over all devices, and its state is replicated unless `recipe.shard`
    shards that too. Several GANs are themselves divided among the devices: none needs another's arrays.

    With n devices, p numbers in both players' parameters, and Adam's two moments, each device holds

        none         p + 2 p + the averaged generator: what one device would, and one sum of the gradients a step
        optimizer    p, and 1 / n of the rest; each update gathers what it changes, half as much as the sum takes
        state        1 / n of everything between steps; a step gathers the parameters before it uses them too

    What a step computes is the same but for rounding. Cutting pays where the moments take memory that the batch needs, from
    some hundred million parameters on; a GAN that fits the device many times over it only slows, by the latency of one
    collective for each leaf that is cut (`tests/benchmarks/sharding.py` counts bytes and collectives).

    Raises:
        ValueError: when the batch fits neither the data nor the devices, or the networks not the data.
    """
    recipe, dataset, rows, count = experiment.recipe, experiment.dataset, experiment.rows, jax.device_count()
    assert dataset is not None
    _check_fits(experiment, count)
    every, abstract = experiment.members, experiment.abstract
    mesh = devices.line(jax.devices()[: math.gcd(count, len(every)) if experiment.several else count])
    whole, cut, apart = devices.whole(mesh), devices.in_parts(mesh), NamedSharding(mesh, PartitionSpec(None, "data"))
    if not experiment.several:
        placed = _laid_out(abstract, mesh, recipe.shard)
        batches = dataset.batches(recipe.seed, rows, cut)
    else:
        placed = jax.tree.map(lambda leaf: _at(leaf, cut if leaf.ndim else whole), abstract)
        draws = {each.seed: dataset.batches(each.seed, rows, whole) for each in every}
        stack = jax.jit(lambda *each: jax.tree.map(lambda *x: jnp.stack(x, axis=1), *each), out_shardings=apart)

        def batches(step: int, steps: int = 1) -> Batch:
            drawn = {seed: draw(step, steps) for seed, draw in draws.items()}
            batch: Batch = stack(*(drawn[each.seed] for each in every))
            return batch

    return Prepared(experiment.gan, batches, placed)


def _check_fits(experiment: Experiment, count: int) -> None:
    check_divides(experiment.recipe, count)
    several = len(experiment.members)
    if several > 1 and jax.process_count() > 1 and several % count:
        allowed = f"the {several} GANs must divide among the {count} devices of {jax.process_count()} processes"
        raise FieldError("seeds", experiment.recipe.seeds, allowed)


def _at(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _laid_out(abstract: GANState, mesh: Mesh, shard: Shard) -> GANState:
    """Returns where each leaf of one GAN's state lies."""

    def held(tree: PyTree, cut: bool) -> PyTree:
        return jax.tree.map(lambda leaf: _at(leaf, devices.cut(leaf.shape, mesh) if cut else devices.whole(mesh)), tree)

    some, most = shard != "none", shard == "state"
    g, d = (
        Player(held(player.params, most), held(player.stats, most), held(player.opt, some))
        for player in (abstract.g, abstract.d)
    )
    return GANState(held(abstract.step, False), g, d, held(abstract.ema, some), held(abstract.memory, False))


def steps(
    prepared: Prepared,
    state: GANState,
    experiment: Experiment,
    *,
    also: Callable[[int], int] = lambda _: _NEVER,
    seconds: float = 0.0,
    stop: Callable[[], int],
    progress: Callable[[int], Any],
    leaving: Callable[[Callable[[], Any]], Any] = lambda act: act(),
) -> Iterator[Event]:
    """Advances the state to `recipe.steps`, pausing at each step at which a row, a picture or a checkpoint is due.

    While the devices work on one dispatch the next is on its way: its batch is drawn, or read and put on the devices, as
    soon as the one before is dispatched, and only that before the last is waited for. Nothing comes back from the devices
    but at a pause with a row.

    Args:
        prepared: of the recipe.
        state: to go on from; its buffers are donated.
        experiment: whose recipe says when what is due.
        also: given a step, the next one after it to pause at besides.
        seconds: of training before.
        stop: asked once after each dispatch for the number of the signal that came, or 0; after a signal no other is made.
        progress: is told of the steps made.
        leaving: calls what it is given, and may leave it: the first dispatch, which compiles.

    Yields:
        An `Event`; the loop goes on when the next is asked for.
    """
    recipe, advance = experiment.recipe, program(prepared, experiment)
    intervals = (recipe.log_interval, recipe.sample_interval, recipe.checkpoint_interval)
    infos: list[tuple[Info, int]] = []
    step, began, begun = int(state.step), time.perf_counter() - seconds, False
    while step < recipe.steps:
        due = min([recipe.steps, also(step), *((step // interval + 1) * interval for interval in intervals)])
        signal_number = 0
        while step < due and not signal_number:
            count = min(recipe.steps_per_dispatch, due - step)
            dispatch = functools.partial(_dispatched, advance, prepared, recipe.steps_per_dispatch, state, step, count)
            state, info = dispatch() if begun else leaving(dispatch)
            begun = True
            infos.append((info, count))
            step += count
            if len(infos) > 2:
                jax.block_until_ready(infos[-3][0])  # no more than two dispatches ahead of the device
            progress(count)
            signal_number = stop()
        last = step == recipe.steps
        row, sample = (last or step % interval == 0 for interval in (recipe.log_interval, recipe.sample_interval))
        save = last or bool(signal_number) or step % recipe.checkpoint_interval == 0
        means = mean(infos)  # at each pause: whatever is saved or shown there is known to be finite
        infos = [] if row else infos
        yield Event(step, state, time.perf_counter() - began, means, row, sample, save, signal_number)
        if signal_number:
            return


def _dispatched(
    advance: Program, prepared: Prepared, most: int, state: GANState, step: int, count: int
) -> tuple[GANState, Info]:
    return advance(state, prepared.batches(step, most), count)


def program(prepared: Prepared, experiment: Experiment) -> Program:
    """The compiled program: `count` steps on batches `[steps, B, ...]`, and the mean of their infos, as `_joined`."""
    recipe = experiment.recipe
    step, placed = _step(prepared, recipe.shard), jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    whole = _whole(prepared)
    # Of several GANs each device has the scalars of its own; other processes need them too.
    info_placed = whole if not experiment.several or jax.process_count() > 1 else None

    def one(state: GANState, batches: Batch, key: Key) -> tuple[GANState, Info]:
        state, info = step(state, jax.tree.map(lambda x: x[0], batches), key)
        return state, _joined(info)

    def several(state: GANState, batches: Batch, key: Key, count: jax.Array) -> tuple[GANState, Info]:
        def body(i: jax.Array, carry: tuple[GANState, Info]) -> tuple[GANState, Info]:
            state, info = step(carry[0], jax.tree.map(lambda x: x[i], batches), key)
            return state, jax.tree.map(lambda total, x: total + x / count, carry[1], info)

        info = jax.eval_shape(step, state, jax.tree.map(lambda x: x[0], batches), key)[1]
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), info)
        # The count is traced: one program for every count, so that a run cut anywhere computes the same.
        state, info = lax.fori_loop(0, count, body, (state, zeros))
        return state, _joined(info)

    # On the devices once and for all: what a call gets from the host, it copies to each of them.
    key = jax.jit(lambda key: key, out_shardings=whole)(experiment.key)
    jit = functools.partial(
        jax.jit, donate_argnums=0, out_shardings=(placed, info_placed), compiler_options=compiler_options(recipe)
    )
    if recipe.steps_per_dispatch == 1:
        return Program(jit(one), lambda _: (key,))
    counts = functools.cache(lambda count: devices.put(np.int32(count), whole))
    return Program(jit(several), lambda count: (key, counts(count)))


def compiler_options(recipe: Recipe) -> dict[str, str | bool] | None:
    """Returns what XLA is told when it compiles the step.

    On CPU it would take away the barriers that keep what `remat` computes twice apart, and merge the two again.
    """
    barriers: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    return barriers if recipe.remat and jax.default_backend() == "cpu" else None


def _whole(prepared: Prepared) -> NamedSharding:
    """All of an array on each of the devices that train: so lies the number of the step."""
    sharding = prepared.abstract.step.sharding
    assert isinstance(sharding, NamedSharding)
    return sharding


def _step(prepared: Prepared, shard: Shard) -> Callable[[GANState, Batch, Key], tuple[GANState, Info]]:
    """The step of a GAN whose batch is cut, and its state in part: it leaves every leaf where it was."""
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    whole = _whole(prepared)

    def among(state: GANState, batch: Batch, key: Key) -> tuple[GANState, Info]:
        with devices.known(whole.mesh):
            return prepared.gan.step(state, batch, key)

    if shard == "none":  # as it is for several GANs
        return among

    def step(state: GANState, batch: Batch, key: Key) -> tuple[GANState, Info]:
        # Parameters are gathered before they are used: left to choose, the compiler would rather cut up the networks,
        # and send activations.
        g, d = (
            player._replace(**lax.with_sharding_constraint({"params": player.params, "stats": player.stats}, whole))
            for player in (state.g, state.d)
        )
        state, info = among(state._replace(g=g, d=d), batch, key)
        if shard == "state":
            # Whole once more before they are cut, or gradients would be computed in parts, of all activations.
            g, d = (player._replace(params=lax.with_sharding_constraint(player.params, whole)) for player in (state.g, state.d))
            state = state._replace(g=g, d=d)
        return lax.with_sharding_constraint(state, placed), info

    return step


def _joined(info: Info) -> Info:
    """All scalars in one array, `{"d_loss g_loss ..": [n]}`: one array to hand out at each step and to fetch in the end."""
    return {" ".join(info): jnp.stack([info[name].astype(jnp.float32) for name in info])}


def mean(infos: list[tuple[Info, int]]) -> dict[str, np.ndarray]:
    (names,), counts = infos[0][0], [count for _, count in infos]
    arrays = [info[names] for info, _ in infos]
    for each in arrays:  # all on their way before the first is waited for
        each.copy_to_host_async()
    table = np.stack([np.asarray(each) for each in arrays], axis=1)
    return {name: np.average(values, axis=0, weights=counts) for name, values in zip(names.split(), table, strict=True)}
