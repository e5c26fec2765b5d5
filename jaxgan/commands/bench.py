"""Times the training and sampling of a recipe on synthetic data: the very program that trains."""

import os
import platform
import resource
import shlex
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import data
from jaxgan.commands import plan as planning
from jaxgan.commands.plan import Plan, gib
from jaxgan.core.types import GAN, Batch, Dataset, GANState, Key, Weights
from jaxgan.recipes import Data, Recipe, check, check_divides, members, sources
from jaxgan.recipes.table import MIXTURES
from jaxgan.system import environment
from jaxgan.system.messages import FieldError
from jaxgan.training import loop
from jaxgan.training.dataset import Shape, given_of, open_data
from jaxgan.training.experiment import build

BUSY = 0.8  # of the cores a CPU measurement must have had, or others had them
BLOCKS = 10
_PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "numpy")


class Spread(NamedTuple):
    """Quartiles of the times that blocks of calls took."""

    low: float
    median: float
    high: float


class Timed(NamedTuple):
    """Seconds of one call, and the number of CPU cores that were busy."""

    seconds: Spread
    cores: float  # CPU seconds over wall seconds


class Bench(NamedTuple):
    """Figures of one measurement."""

    plan: Plan
    steps: int
    step: Timed  # one step
    sample_one: Timed  # one image
    sample_many: Timed  # 64 images
    compile_seconds: float  # of the training program
    peaks: dict[str, float]  # FLOP/s of a matrix product on one device, by its precision
    compiled_bytes: int  # as XLA counts what the training program holds on a device
    peak_bytes: int  # as the device counts it, or on CPU the process

    @property
    def images_per_second(self) -> float:
        recipe = self.plan.recipe
        return recipe.batch_size * recipe.disc_steps * len(members(recipe)) / self.step.seconds.median

    @property
    def flops_per_second(self) -> float:
        return self.plan.step_flops / self.step.seconds.median

    @property
    def shares(self) -> dict[str, float]:
        """Share of the devices' peak FLOP/s that training reaches, by dtype; devices of a CPU share its cores."""
        count = 1 if jax.default_backend() == "cpu" else self.plan.devices
        return {name: self.flops_per_second / (count * peak) for name, peak in self.peaks.items()}

    @property
    def shared(self) -> bool:
        """True where other programs kept the cores busy, so that the times cannot be trusted."""
        return jax.default_backend() == "cpu" and self.step.cores < BUSY * _cores()


@environment.fixed()
def bench(recipe: Recipe | str | Path, *, steps: int = 100) -> Bench:
    """Times training and sampling on synthetic data of the recipe's shape.

    The seconds of compilation are true only where no compile cache is in use.

    Args:
        recipe: what to train; no data need be there.
        steps: number of steps timed after warming up; rounded down to whole dispatches.

    Returns:
        A `Bench`.

    Raises:
        ValueError, FileNotFoundError: as `plan.plan`; when `steps` is out of range.
    """
    if not 1 <= steps <= 1_000_000:
        raise FieldError("steps", steps, "it must be from 1 to 1,000,000")
    recipe = check(recipe if isinstance(recipe, Recipe) else sources.find(recipe).recipe)
    count, limit, platform = planning.devices_here()
    check_divides(recipe, count)
    of_data = planning.stored(recipe)
    shape = of_data.shape
    experiment = build(recipe, dataset=_synthetic(recipe, shape))
    planned = planning.of(experiment, of_data, count, limit, platform)
    prepared = loop.prepare(experiment)
    each, key = recipe.steps_per_dispatch, experiment.key
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    state = jax.jit(prepared.gan.init, out_shardings=placed)(key)
    advance = loop.program(prepared, experiment)
    lowered = advance.lower(state, prepared.batches(0, each), each)
    began = time.perf_counter()
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - began
    run = _Run(advance, prepared.batches, state, each)
    dispatches = max(1, steps // each)
    blocks = min(BLOCKS, dispatches)
    timed = _timed(run.go, run.wait, dispatches // blocks, blocks)
    memory: Any = compiled.memory_analysis()
    held = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    peak_bytes = _peak_bytes()  # before the large matrices
    one, many = (_sampling(prepared.gan, shape, run.state.ema, key, count) for count in (1, 64))
    return Bench(
        plan=planned,
        steps=dispatches // blocks * blocks * each,
        step=Timed(Spread(*(seconds / each for seconds in timed.seconds)), timed.cores),
        sample_one=one,
        sample_many=many,
        compile_seconds=compile_seconds,
        peaks=_peaks(),
        compiled_bytes=held,
        peak_bytes=peak_bytes,
    )


def report(found: Bench) -> str:
    """Returns the measurement as aligned lines of text."""
    about, plan = machine(), found.plan
    low, middle, high = (1e3 * seconds for seconds in found.step.seconds)
    kind = "images" if len(plan.shape.sample) == 3 else "samples"
    rows = [
        ("command", about["command"]),
        ("device", f"{about['devices']} {about['device']}, {about['cores']} cores"),
        ("versions", ", ".join(f"{name} {number}" for name, number in about["versions"].items())),
        ("a step", f"{middle:.3g} ms, quartiles {low:.3g} to {high:.3g}; batch {plan.recipe.batch_size}, {found.steps} steps"),
        ("training", f"{found.images_per_second:,.0f} {kind}/s"),
        ("sampling 1", f"{1 / found.sample_one.seconds.median:,.0f} {kind}/s"),
        ("sampling 64", f"{64 / found.sample_many.seconds.median:,.0f} {kind}/s"),
        ("model", f"{found.flops_per_second / 1e9:,.3g} GFLOP/s"),
    ]
    for name, share in found.shares.items():
        rows.append((f"  of {name}", f"{share:.1%} of {found.peaks[name] / 1e9:,.4g} GFLOP/s, this device's products"))
    rows += [
        ("compilation", f"{found.compile_seconds:.1f} s, nothing cached"),
        ("memory", f"{gib(found.compiled_bytes)} by the compiled program; predicted {gib(_predicted(plan))}"),
        ("  at its peak", f"{gib(found.peak_bytes)}, {'the process' if jax.default_backend() == 'cpu' else 'the device'}"),
        ("cores at work", f"{found.step.cores:.2f} of {about['cores']}"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name.ljust(width)}  {value}" for name, value in rows]
    if found.shared:
        lines.append(f"WARNING: below {BUSY:g} of the cores, so something else had them: these figures count for nothing.")
    return "\n".join(lines)


def as_json(found: Bench) -> dict[str, Any]:
    """Returns the measurement as plain values; times are in seconds."""
    fields = found._asdict() | {"plan": planning.as_json(found.plan)}
    for name in ("step", "sample_one", "sample_many"):
        fields[name] = {"seconds": fields[name].seconds._asdict(), "cores": fields[name].cores}
    more = {"images_per_second": found.images_per_second, "flops_per_second": found.flops_per_second, "shares": found.shares}
    return machine() | fields | more | {"shared": found.shared}


def machine() -> dict[str, Any]:
    """Returns the command, the device and the versions of a measurement."""
    return {
        "command": shlex.join(["jaxgan", *sys.argv[1:]]),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "cores": _cores(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
    }


class _Run:
    """Training under way: a state that each dispatch replaces."""

    def __init__(self, advance: loop.Program, batches: Callable[..., Batch], state: GANState, each: int) -> None:
        self.advance, self.batches, self.state, self.each = advance, batches, state, each
        self.step = 0

    def go(self) -> None:
        self.state, _ = self.advance(self.state, self.batches(self.step, self.each), self.each)
        self.step += self.each

    def wait(self) -> None:
        jax.block_until_ready(self.state)


def _synthetic(recipe: Recipe, shape: Shape) -> Dataset:
    """Returns a data set of noise: as many images as one batch takes, at least 1,024."""
    if isinstance(recipe.data, Data) and recipe.data.name in MIXTURES:
        return open_data(recipe)
    random, count = np.random.default_rng(0), max(1_024, recipe.batch_size * (recipe.disc_steps + 1))
    if len(shape.sample) == 1:
        images: Any = random.standard_normal((count, *shape.sample), dtype=np.float32)
    else:
        images = random.integers(0, 256, (count, *shape.sample), dtype=np.uint8)
    names = tuple(map(str, range(shape.classes)))
    labels = random.integers(0, shape.classes, count) if names else None
    condition = None
    if shape.condition is not None:  # zeros: values do not change the time
        condition = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), given_of(shape, count))
    return data.from_array(images, labels, condition=condition, name="noise", class_names=names)


def _sampling(gan: GAN, shape: Shape, weights: Weights, key: Key, count: int) -> Timed:
    sample, labels = jax.jit(gan.sample), jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), given_of(shape, count))
    one = key if key.ndim == 0 else key[0]

    def wait() -> None:
        pass  # for each picture already: so does one who asks for it

    return _timed(lambda: jax.block_until_ready(sample(weights, one, labels)), wait, 10, BLOCKS)


def _timed(run: Callable[[], Any], wait: Callable[[], None], count: int, blocks: int) -> Timed:
    for _ in range(2):
        run()
    wait()
    took, cpu, began = [], time.process_time(), time.perf_counter()
    for _ in range(blocks):
        start = time.perf_counter()
        for _ in range(count):
            run()
        wait()
        took.append((time.perf_counter() - start) / count)
    cores = (time.process_time() - cpu) / (time.perf_counter() - began)
    return Timed(Spread(*quantiles(took, n=4, method="inclusive")) if blocks > 1 else Spread(*took * 3), cores)


def _peaks() -> dict[str, float]:
    """FLOP/s of matrix products on one device, the best of several: float32 as it is, and on accelerators bfloat16."""
    backend = jax.default_backend()
    side = 2_048 if backend == "cpu" else 8_192
    found = {}
    for dtype in ("float32",) if backend == "cpu" else ("float32", "bfloat16"):
        x = jnp.ones((side, side), dtype)
        product = jax.jit(lambda x: jnp.matmul(x, x, precision="highest" if x.dtype == jnp.float32 else None))
        jax.block_until_ready(product(x))
        took = []
        for _ in range(BLOCKS):
            start = time.perf_counter()
            jax.block_until_ready(product(x))
            took.append(time.perf_counter() - start)
        found[dtype] = 2 * side**3 / min(took)
    return found


def _predicted(plan: Plan) -> int:
    """Returns what of the plan is the compiled program's: neither the data set nor the process."""
    return plan.needs.total - plan.needs.data - planning.STARTED


def _peak_bytes() -> int:
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
