"""Resources that a recipe takes, from shapes alone: parameters, FLOPs, bytes on each device, and whether it fits."""

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from jaxgan.core import cost
from jaxgan.core.types import Batch, GANState, Info, Key, PyTree
from jaxgan.core.units import Units
from jaxgan.evaluation import verdict
from jaxgan.recipes import Data, Recipe, check, check_divides, divides, members, sources
from jaxgan.recipes.data import NOT_AT_HAND, UNCONDITIONAL
from jaxgan.recipes.table import GENERATED
from jaxgan.system import environment, files
from jaxgan.system.devices import cut as laid_out
from jaxgan.system.messages import FieldError, say
from jaxgan.training.dataset import Shape, given_of, open_data, shape_of
from jaxgan.training.experiment import Experiment, build, parameters

GIB = 2**30
# Sets whose shape is known without reading them: one sample, classes, images in the training split.
KNOWN: dict[str, tuple[tuple[int, ...], int, int | None]] = {
    "digits": ((8, 8, 1), 10, 1_797),
    "mnist": ((28, 28, 1), 10, 60_000),
    "fashion_mnist": ((28, 28, 1), 10, 60_000),
    "cifar10": ((32, 32, 3), 10, 50_000),
    "stacked_mnist": ((28, 28, 3), 1_000, 128_000),
    "signals": ((64, 1), 0, 8_192),
    "fields": ((24, 40, 1), 0, 8_192),
    "volumes": ((16, 16, 16, 1), 0, 4_096),
    "table": ((11,), 0, 354),
    "ring": ((2,), 0, None),
    "grid": ((2,), 0, None),
}
RESIDENT = 2**30  # bytes up to which a set lives on the device
AHEAD = 3  # dispatches whose batches are there at once
# What a compiler holds beyond `cost.peak`, and what is there before any array; both measured, see `tests/test_plan.py`.
COMPILED = 0.4
STARTED = GIB // 2
_LONG = 3.0  # seconds after which a line says what takes so long
REMEDIES = "a smaller --batch-size, --accumulate N, or --remat or --precision bfloat16"


class Stored(NamedTuple):
    """The facts about a data set that decide its memory."""

    shape: Shape
    size: int | None  # samples, None where that is not known
    value_bytes: int  # bytes of a value on a device: 1 for pictures, kept as uint8; 4 for anything else, as float32


class Needs(NamedTuple):
    """Bytes on each device."""

    parameters: int  # and statistics, of both players
    optimizer: int  # its moments
    ema: int  # the averaged generator, and what else is remembered
    data: int  # the whole set, where it lives on the device
    batches: int
    gradients: int  # of the larger player
    activations: int  # the other intermediate values, at the peak of a step, or of the samples looked at if these take more
    allowance: int  # what JAX holds once it is started, and what XLA adds to the values it keeps

    @property
    def total(self) -> int:
        return sum(self)


class Plan(NamedTuple):
    """Resources that a recipe takes."""

    recipe: Recipe
    shape: Shape
    devices: int
    kind: str  # of the devices: CPU or accelerator
    g_parameters: int  # of one GAN
    d_parameters: int
    sample_flops: int  # to draw an image
    image_flops: int  # to train on an image shown to D
    step_flops: int  # of all devices; penalties that act now and then with their share
    needs: Needs
    looked_at: int  # bytes of intermediate values while the samples are drawn that figures are computed of
    memory: int  # bytes of a device
    largest: int | None  # batch size that fits; None where any step is too much

    @property
    def fits(self) -> bool:
        return self.needs.total <= self.memory


@environment.fixed()
def plan(
    recipe: Recipe | str | Path,
    shape: Shape | None = None,
    *,
    devices: int | None = None,
    memory: float | None = None,
    accelerator: bool | None = None,
) -> Plan:
    """Predicts the parameters, FLOPs and memory of training a recipe; nothing is computed, and no data need be there.

    FLOPs are those of `cost.flops`: matrix products and convolutions in their direct form. Memory is what lies there between
    steps, the intermediate values that `cost.peak` finds, and an allowance of two fifths of these, which is what XLA was
    seen to hold beyond, and half a GiB for the process, compiled programs and libraries. The figures' samples count too,
    which are drawn at once.

    Args:
        recipe: what to train, a name, a file or a value; each device has its share of the batch, and the whole state or what
            `shard` leaves of it.
        shape: of its data; from `data_shape` when None.
        devices: how many; those there are when None.
        memory: bytes of a device; this one's when None.
        accelerator: whether the devices are GPUs or TPUs; as they are here when None. On CPUs convolutions are matrix
            products of patches, and take several times the memory.

    Returns:
        A `Plan`.

    Raises:
        ValueError: when the recipe is invalid, or its batch cannot be divided among the devices.
        FileNotFoundError: when the shape of its data cannot be known without reading them.
    """
    recipe = check(recipe if isinstance(recipe, Recipe) else sources.find(recipe).recipe)
    count, limit, platform = devices_here(devices, memory, accelerator)
    check_divides(recipe, count)
    name = _name(recipe)
    of_data = (
        stored(recipe) if shape is None else Stored(shape, KNOWN.get(name, (0, 0, None))[2], _value_bytes(name, shape.sample))
    )
    with _told_when_long("following a step from shapes alone; large networks take about a minute"):
        return of(build(recipe, shape=of_data.shape), of_data, count, limit, platform)


@contextlib.contextmanager
def _told_when_long(line: str) -> Iterator[None]:
    """Prints a line to stderr if what is done within takes more than a few seconds."""
    timer = threading.Timer(_LONG, say, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def devices_here(
    devices: int | None = None, memory: float | None = None, accelerator: bool | None = None
) -> tuple[int, int, str | None]:
    """Returns the number of devices, the bytes of each and their platform, checked."""
    count = jax.device_count() if devices is None else devices
    if not 1 <= count <= 1_000_000:
        raise FieldError("devices", count, "it must be from 1 to 1,000,000")
    if memory is not None and not 0 < memory < math.inf:
        raise FieldError("memory", f"{memory / GIB:g} GiB", "it must be a finite number above 0")
    platform = "cpu" if (jax.default_backend() == "cpu" if accelerator is None else not accelerator) else None
    if memory is None and platform != _platform():
        raise FieldError("memory", None, "of devices of another kind than this it must be given")
    return count, of_device() if memory is None else int(memory), platform


def of(experiment: Experiment, of_data: Stored, count: int, limit: int, platform: str | None) -> Plan:
    """Returns the plan of an experiment.

    Args:
        experiment: what to train.
        of_data: its data set.
        count: devices.
        limit: bytes of a device.
        platform: "cpu", or None for accelerators.
    """
    recipe, members_ = experiment.recipe, len(experiment.members)
    step_flops = _step_flops(experiment)
    drawn = cost.program(_sampling(experiment, verdict.SAMPLES))
    bytes_of = functools.partial(_needs, experiment, of_data, count, _temporaries(experiment, count, platform))
    g, d = parameters(experiment.abstract)
    needs = bytes_of(recipe.batch_size)
    return Plan(
        recipe=recipe,
        shape=experiment.shape,
        devices=count,
        kind="CPU" if platform == "cpu" else "accelerator",
        g_parameters=g // members_,
        d_parameters=d // members_,
        sample_flops=cost.flops(drawn) // verdict.SAMPLES,
        image_flops=step_flops // (recipe.batch_size * recipe.disc_steps * members_),
        step_flops=step_flops,
        needs=needs,
        looked_at=_looked_at(experiment, platform),
        memory=limit,
        largest=recipe.batch_size if needs.total <= limit else _largest(experiment, count, limit, bytes_of),
    )


def _name(recipe: Recipe) -> str:
    return recipe.data.name if isinstance(recipe.data, Data) else ""


def _value_bytes(name: str, sample: tuple[int, ...], units: Units | None = None) -> int:
    """Returns the bytes of one value on a device; without units, samples `[H, W, C]` are pictures, except computed fields."""
    pictures = len(sample) == 3 and name not in GENERATED if units is None else units.are_bytes
    return 1 if pictures else 4


def data_shape(recipe: Recipe) -> tuple[Shape, int | None]:
    """Returns the shape of a recipe's data and the number of samples, as `stored` does."""
    return stored(recipe)[:2]


def stored(recipe: Recipe) -> Stored:
    """Returns the data set of a recipe as a device holds it: known sets from a table, others from themselves.

    For a set that is not there, `data.image_size` and `data.channels`, 3 by default, tell the shape; its number is not known.

    Raises:
        ValueError, FileNotFoundError: when none of these tells the shape.
    """
    wanted = recipe.data
    if not isinstance(wanted, Data):
        return _opened(recipe)
    if wanted.name in KNOWN:
        sample, classes, size = KNOWN[wanted.name]
        if len(sample) == 3:
            side = (wanted.image_size,) * 2 if wanted.image_size else sample[:2]
            sample = (*side, wanted.channels or sample[2])
        if wanted.conditional and not classes:
            raise FieldError("data.conditional", True, f"{wanted.name} has no labels; {UNCONDITIONAL}")
        return Stored(Shape(sample, classes if wanted.conditional else 0), size, _value_bytes(wanted.name, sample))
    if wanted.name not in NOT_AT_HAND:
        try:
            return _opened(recipe)
        except FileNotFoundError:  # then the recipe must tell
            pass
    if wanted.image_size is None:
        raise FieldError("data.image_size", None, f"{wanted.name} is not there to be asked, so it must be given")
    if wanted.conditional:
        raise FieldError("data.conditional", True, f"{wanted.name} is not there to be asked for its classes; {UNCONDITIONAL}")
    return Stored(Shape((wanted.image_size, wanted.image_size, wanted.channels or 3), 0), None, 1)


def _opened(recipe: Recipe) -> Stored:
    found = open_data(recipe)
    return Stored(shape_of(recipe, found), found.size, _value_bytes(found.name, found.shape, found.units))


def of_device() -> int:
    """Returns the bytes of a device that programs can use; for a CPU the machine's memory, or the container's limit."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return files.memory()


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error, XLA's or Python's, means that a device or the machine has no memory left."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )


def told(recipe: Recipe, shape: Shape | None = None, *, batch: int | None = None) -> str:
    """Returns the remedy for having run out of memory, in one line.

    Args:
        recipe: of what was training, or has been trained.
        shape: of its data; as `plan` has it when None.
        batch: images drawn at a time; None when it was training.
    """
    shape = data_shape(recipe)[0] if shape is None else shape
    side = f"images of side {shape.sample[0]}" if len(shape.sample) == 3 else "points"
    has = f"the device has {gib(of_device())}"
    if batch is None:
        count = jax.device_count() if divides(recipe, jax.device_count()) else 1
        need = plan(recipe, shape, devices=count).needs.total
        return f"out of memory: batch {recipe.batch_size} of {side} needs about {gib(need)}, {has}; take {REMEDIES}"
    experiment = build(recipe, shape=shape)
    held = cost.peak(cost.program(_sampling(experiment, batch), platform=_platform()))
    need = cost.tree_bytes(experiment.abstract_one.ema) + int(held * (1 + COMPILED)) + STARTED
    return f"out of memory: {batch} {side} at a time need about {gib(need)}, {has}; take a smaller --batch"


def gib(count: int) -> str:
    """Returns bytes in words: `3.1 GiB`, `12.0 MiB`."""
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / 2**20:.1f} MiB"


def table(found: Plan) -> str:
    """Returns a plan as aligned lines."""
    recipe, needs = found.recipe, found.needs
    count = len(members(recipe))
    rows = [
        (
            "parameters",
            f"G {found.g_parameters:,}, D {found.d_parameters:,}" + (f", each of {count} GANs" if count > 1 else ""),
        ),
        ("FLOPs to draw an image", _si(found.sample_flops)),
        ("FLOPs to train on an image", _si(found.image_flops)),
        ("FLOPs of a step", f"{_si(found.step_flops)}, batch {recipe.batch_size}"),
        ("on each of" if found.devices > 1 else "on", f"{found.devices} {found.kind}{'s' if found.devices > 1 else ''}"),
    ]
    words = {"allowance": "allowance for JAX and XLA"}
    rows += [(f"  {words.get(name, name)}", gib(value)) for name, value in needs._asdict().items()]
    rows += [("  in all", gib(needs.total)), ("memory of a device", gib(found.memory)), ("fits", "yes" if found.fits else "no")]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name.ljust(width)}  {value}" for name, value in rows]
    if not found.fits:
        least = "No batch does, however small: it takes smaller networks, or a device with more memory."
        if found.looked_at * (1 + COMPILED) > found.memory - STARTED:
            least = (
                f"No batch does, however small: the {verdict.SAMPLES} samples looked at together need {gib(found.looked_at)}."
            )
        lines.append(f"The largest batch that does is about {found.largest}." if found.largest else least)
        lines.append(f"What helps: {REMEDIES}.")
    return "\n".join(lines)


def as_json(found: Plan) -> dict[str, Any]:
    """Returns a plan as plain values."""
    fields = found._asdict() | {"fits": found.fits, "batch_size": found.recipe.batch_size, "shape": list(found.shape.sample)}
    fields["needs"] = found.needs._asdict() | {"total": found.needs.total}
    del fields["recipe"]
    return fields


def _step_flops(experiment: Experiment) -> int:
    """Returns the FLOPs of one step, of all devices. What acts at every n-th step only counts an n-th."""
    program, penalty = cost.program(_step(experiment, experiment.recipe.batch_size)), experiment.recipe.penalty
    acts = penalty.name != "none" and (penalty.gamma or penalty.final_gamma or penalty.gammas)
    intervals = (penalty.interval if acts else 1, penalty.path_interval if penalty.path_length else 1)
    lazy = [interval for interval in intervals if interval > 1]
    rests = [span * (n - 1) // n for span, n in zip(cost.conditional_flops(program), lazy, strict=True)]
    return cost.flops(program) - sum(rests)


def _needs(experiment: Experiment, of_data: Stored, devices: int, temporaries: Callable[[int], int], batch_size: int) -> Needs:
    recipe, abstract, several = experiment.recipe, experiment.abstract, len(experiment.members)
    parts = devices if several == 1 else math.gcd(devices, several)  # the devices in use
    state = parts if several > 1 else 1  # what the state of all GANs is divided by; one GAN's is replicated, or sharded
    held_by_each = functools.partial(_on_each, devices=1 if several > 1 else devices)
    some, most = recipe.shard != "none", recipe.shard == "state"
    g, d = (held_by_each((player.params, player.stats), cut=most) for player in (abstract.g, abstract.d))
    # Sharded parameters are whole while a step uses them.
    gathered = cost.tree_bytes((abstract.g.params, abstract.d.params)) if most else 0
    size = of_data.size or 0
    whole = size * math.prod(experiment.shape.sample) * of_data.value_bytes
    rows = _with_batch(experiment, batch_size).rows * several * recipe.steps_per_dispatch
    gradients = max(cost.tree_bytes(abstract.g.params), cost.tree_bytes(abstract.d.params)) // state
    held = temporaries(batch_size)
    return Needs(
        parameters=(g + d) // state,
        optimizer=held_by_each((abstract.g.opt, abstract.d.opt), cut=some) // state,
        ema=(held_by_each(abstract.ema, cut=some) + cost.tree_bytes(abstract.memory)) // state,
        data=whole + 4 * size if whole <= RESIDENT else 0,
        batches=AHEAD * rows * 4 * (math.prod(experiment.shape.sample) + 1) // parts,
        gradients=gradients,
        activations=max(0, held - gradients) + gathered,
        allowance=int(COMPILED * max(held, gradients)) + STARTED,
    )


def _on_each(tree: PyTree, *, devices: int, cut: bool) -> int:
    """Returns the bytes of a tree on each device, replicated or sharded as training shards it."""
    mesh = AbstractMesh((devices,), ("data",))

    def held(leaf: jax.ShapeDtypeStruct) -> int:
        return math.prod(laid_out(leaf.shape, mesh).shard_shape(leaf.shape) if cut else leaf.shape) * leaf.dtype.itemsize

    return sum(map(held, jax.tree.leaves(tree)))


def _temporaries(experiment: Experiment, devices: int, platform: str | None) -> Callable[[int], int]:
    """Returns (batch size) -> bytes of intermediate values on a device: on a line through those of two batches."""
    several = len(experiment.members)
    looked_at = _looked_at(experiment, platform)

    @functools.cache
    def whole(batch_size: int) -> int:
        return cost.peak(cost.program(_step(experiment, batch_size), platform=platform))

    def held(batch_size: int) -> int:
        base = experiment.recipe.batch_size
        here = batch_size / devices if several == 1 else batch_size
        slope = 0.0 if here == base else (whole(2 * base) - whole(base)) / base
        step = whole(base) + slope * (here - base)
        return max(int(step) // (math.gcd(devices, several) if several > 1 else 1), looked_at)

    return held


def _looked_at(experiment: Experiment, platform: str | None) -> int:
    """Returns the bytes of intermediate values while the samples of the figures are drawn, of one GAN at a time."""
    return cost.peak(cost.program(_sampling(experiment, verdict.SAMPLES), platform=platform))


def _largest(experiment: Experiment, devices: int, memory: int, bytes_of: Callable[[int], Needs]) -> int | None:
    """Returns the largest batch that fits, by halving: bytes grow with the batch."""
    recipe = experiment.recipe
    unit = recipe.accumulate * math.lcm(recipe.pack, 1 if experiment.several else devices)
    low, high = 0, recipe.batch_size // unit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_of(middle * unit).total <= memory else (low, middle)
    return low * unit or None


def _with_batch(experiment: Experiment, batch_size: int) -> Experiment:
    """Returns the same experiment with another batch: its networks and its GAN stay."""
    if batch_size == experiment.recipe.batch_size:
        return experiment
    return replace(experiment, recipe=replace(experiment.recipe, batch_size=batch_size))


@functools.lru_cache(maxsize=4)
def _step(experiment: Experiment, batch_size: int) -> Any:
    """Returns the jaxpr of a step."""
    gan, abstract, shape = experiment.gan, experiment.abstract, experiment.shape
    lead = (len(experiment.members),) if experiment.several else ()
    rows = _with_batch(experiment, batch_size).rows
    batch = {
        "image": jax.ShapeDtypeStruct((*lead, rows, *shape.sample), jnp.float32),
        "label": jax.ShapeDtypeStruct((*lead, rows), jnp.int32),
    }
    if shape.condition is not None:
        batch["condition"] = given_of(shape, *lead, rows)

    def step(state: GANState, batch: Batch, key: Key) -> tuple[GANState, Info]:
        return gan.step(state, batch, key)

    return jax.make_jaxpr(step)(abstract, batch, experiment.key)


@functools.lru_cache(maxsize=4)
def _sampling(experiment: Experiment, batch: int) -> Any:
    """Returns the jaxpr with which one GAN draws so many images."""
    labels = given_of(experiment.shape, batch)
    return jax.make_jaxpr(experiment.one.sample)(experiment.abstract_one.ema, jax.random.key(0), labels)


def _platform() -> str | None:
    return "cpu" if jax.default_backend() == "cpu" else None  # no code is of another platform's own


def _si(count: float) -> str:
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:g}"
