"""What the training loop itself costs at each step: a GAN whose step only counts, through the real `loop.steps`.

    python tests/benchmarks/host_overhead.py [--recipes digits cifar10] [--steps 2000] [--blocks 7] [--devices 1]

The state has the leaves of the recipe's networks and optimizers, each cut down to 8 numbers, so that nothing but the host's
work is left; the data are resident. Wall and CPU time per step, medians over blocks of steps, the first left out: of the loop,
of the loop with a batch that is there already (drawing images is work of the device), of the loop with ten steps to a
dispatch; then of the parts alone: drawing a batch, dispatching the step.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

ARGUMENTS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGUMENTS.add_argument("--recipes", nargs="+", default=["digits", "cifar10"])
ARGUMENTS.add_argument("--steps", type=int, default=2_000, help="of a block")
ARGUMENTS.add_argument("--blocks", type=int, default=7)
ARGUMENTS.add_argument("--devices", type=int, default=1, help="virtual CPU devices")


def stub(experiment: Any) -> Any:
    """A GAN with the state tree of the recipe's and a step that adds one."""
    import jax
    import jax.numpy as jnp

    from jaxgan.core.types import GAN

    real, abstract = experiment.gan, experiment.abstract
    names = ("d_grad_norm", "g_grad_norm", "d_loss", "real_logits", "fake_logits", "d_real", "d_fake", "penalty", "g_loss")

    def init(_: Any) -> Any:
        small = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape if leaf.ndim == 0 else 8, leaf.dtype), abstract)
        return small._replace(step=jnp.zeros((), jnp.int32))

    def step(state: Any, batch: Any, key: Any) -> Any:
        value = batch["label"][0].astype(jnp.float32)
        return state._replace(step=state.step + 1), dict.fromkeys(names, value)

    return GAN(init, step, real.sample)


def timed(act: Callable[[], Any], steps: int, blocks: int) -> str:
    """Wall and CPU microseconds per step of what makes `steps` steps."""
    walls, cpus = [], []
    for _ in range(blocks + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        walls.append((time.perf_counter() - wall) / steps * 1e6)
        cpus.append((time.process_time() - cpu) / steps * 1e6)
    return f"{statistics.median(walls[1:]):6.1f} wall  {statistics.median(cpus[1:]):6.1f} CPU"


def measure(name: str, steps: int, blocks: int) -> None:
    import dataclasses

    import jax
    import numpy as np

    from jaxgan import data, recipes
    from jaxgan.system import host_memory
    from jaxgan.training import loop
    from jaxgan.training.experiment import build

    host_memory.keep()  # as the command line does

    recipe = recipes.preset(name)
    side, channels, classes = {"digits": (8, 1, 10), "cifar10": (32, 3, 10)}[recipe.data.name]
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5_000, side, side, channels), np.uint8)
    dataset = data.from_array(images, random.integers(0, classes, 5_000), name=recipe.data.name)
    none = {"log_interval": 50, "sample_interval": 2**31 - 1, "checkpoint_interval": 2**31 - 1}
    recipe = dataclasses.replace(recipe, steps=steps, steps_per_dispatch=1, **none)
    experiment = build(recipe, dataset=dataset)
    gan = stub(experiment)
    prepared = loop.prepare(experiment)._replace(gan=gan)
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    leaves = len(jax.tree.leaves(prepared.abstract))
    print(f"{name}: {leaves} leaves, batches of {experiment.rows}, {jax.device_count()} devices")

    def looped(prepared: loop.Prepared, per_dispatch: int) -> str:
        # One generator over all blocks: a block is `steps` steps further on in the same compiled loop.
        long = dataclasses.replace(recipe, steps=steps * (blocks + 2), steps_per_dispatch=per_dispatch)
        start = jax.jit(gan.init, out_shardings=placed)(experiment.key)
        events = loop.steps(
            prepared, start, dataclasses.replace(experiment, recipe=long), stop=lambda: 0, progress=lambda _: None
        )

        def block() -> None:
            for _ in range(steps // recipe.log_interval):
                next(events)

        return timed(block, steps, blocks)

    print(f"  the loop       {looped(prepared, 1)}")
    there = {count: prepared.batches(0, count) for count in (1, 10)}
    given = prepared._replace(batches=lambda _, count: there[count])
    print(f"  batches given  {looped(given, 1)}")
    print(f"  by ten steps   {looped(prepared, 10)}")

    def draws() -> None:
        for step in range(steps):
            batch = prepared.batches(step, 1)
        jax.block_until_ready(batch)

    print(f"  drawing        {timed(draws, steps, blocks)}")
    advance, batch = loop.program(prepared, experiment), prepared.batches(0, 1)
    state = jax.jit(gan.init, out_shardings=placed)(experiment.key)

    def dispatches() -> None:
        nonlocal state
        for _ in range(steps):
            state, info = advance(state, batch, 1)
        jax.block_until_ready(info)

    print(f"  dispatching    {timed(dispatches, steps, blocks)}")
    infos = [(advance(state, batch, 1)[1], 1)]

    def means() -> None:
        for _ in range(steps // recipe.log_interval):
            loop.mean(infos * recipe.log_interval)

    print(f"  rows of means  {timed(means, steps, blocks)}")


if __name__ == "__main__":
    arguments = ARGUMENTS.parse_args()
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={arguments.devices}"
    for each in arguments.recipes:
        measure(each, arguments.steps, arguments.blocks)
