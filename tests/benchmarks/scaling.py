"""One run over several devices: how long a step takes, and whether its losses are those of one device.

    python tests/benchmarks/scaling.py [--counts 1 2 4 8] [--device cpu|cuda] [--workload MLP] [--weak] [--record]

Each count is a process of its own, through the loop that trains (`loop.prepare` and `loop.program`), on noise. The batch is
the workload's whatever the count, or with `--weak` grows with it. On CPU the devices are virtual and share the cores, so what
is seen is what cutting costs, not what it gains. On CUDA the counts are of the GPUs there.
"""

import argparse
import dataclasses
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from statistics import median
from typing import Any

from sides import machine_words, record, table
from workloads import about, names, recipe_of, settings_of

LOSSES = 20  # steps whose losses are compared
HEADER = ["devices", "batch", "ms a step", "images/s", "of one device's", "losses apart over 20 steps", "CPU/wall"]


def worker(workload: str, device: str, count: int, weak: bool, steps: int) -> dict[str, Any]:
    """Trains on the first `count` devices; of GPUs no others are visible, of CPUs there are no others.

    The losses are those of steps in float64: in float32 rounding grows, within so many steps of Adam, to hundredths.
    """
    import jax
    import numpy as np

    from jaxgan import data
    from jaxgan.system import host_memory
    from jaxgan.training import loop

    if device == "cpu":
        host_memory.keep()
    jax.config.update("jax_default_matmul_precision", "float32")
    recipe = recipe_of(settings_of(workload, device))
    recipe = dataclasses.replace(recipe, batch_size=recipe.batch_size * (count if weak else 1), steps_per_dispatch=1)
    size, channels = recipe.data.image_size or 32, recipe.data.channels or 3
    images = np.random.default_rng(0).integers(0, 256, (4_096, size, size, channels), np.uint8)
    dataset = data.from_array(images, name="noise")
    losses = []
    with jax.enable_x64(True):
        experiment, prepared, state = started(recipe, dataset)
        assert prepared.abstract.step.sharding.mesh.size == count
        advance, state = loop.program(prepared, experiment), jax.tree.map(_double, state)
        for step in range(LOSSES):
            state, info = advance(state, jax.tree.map(_double, prepared.batches(step, 1)), 1)
            means = loop.mean([(info, 1)])
            losses.append([float(means[name]) for name in ("d_loss", "g_loss")])
    experiment, prepared, state = started(recipe, dataset)
    advance = loop.program(prepared, experiment)
    for step in range(2):
        state, _ = advance(state, prepared.batches(step, 1), 1)
    took, busy = [], []
    for block in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        for step in range(steps):
            state, _ = advance(state, prepared.batches(LOSSES + block * steps + step, 1), 1)
        jax.block_until_ready(state)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        took.append(wall / steps)
        busy.append(cpu / wall)
    versions = {"Python": platform.python_version(), "jax": jax.__version__}
    kind = jax.devices()[0].device_kind
    return {"seconds": median(took), "busy": median(busy), "losses": losses, "batch": recipe.batch_size} | {
        "machine": machine_words(kind, device, versions)
    }


def started(recipe: Any, dataset: Any) -> Any:
    """Returns the experiment, what the loop needs, and a state."""
    import jax

    from jaxgan.training import loop
    from jaxgan.training.experiment import build

    experiment = build(recipe, dataset=dataset)
    prepared = loop.prepare(experiment)
    placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
    return experiment, prepared, jax.jit(prepared.gan.init, out_shardings=placed)(experiment.key)


def _double(x: Any) -> Any:
    return x.astype(float) if x.dtype.kind == "f" else x


def run(options: argparse.Namespace, count: int) -> dict[str, Any]:
    env = dict(os.environ, JAX_PLATFORMS=options.device)
    if options.device == "cpu":
        env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    else:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(count)))
    words = ["--worker", str(count), "--device", options.device, "--workload", options.workload, "--steps", str(options.steps)]
    done = subprocess.run(
        [sys.executable, __file__, *words, *(["--weak"] if options.weak else [])],
        env=env, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workload", default="MLP", help="of DCGANs the float64 steps take minutes on CPU")
    parser.add_argument("--weak", action="store_true", help="let the batch grow with the devices")
    parser.add_argument("--steps", type=int, default=5, help="of a block; five blocks")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--record", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    if options.workload not in names(options.device):
        parser.error(f"--workload: {options.workload}, but there are {', '.join(names(options.device))}")
    if options.worker:
        print(json.dumps(worker(options.workload, options.device, options.worker, options.weak, options.steps)))
        return
    found = {count: run(options, count) for count in options.counts}
    rows, alone = [], found[options.counts[0]]
    speeds = {count: each["batch"] / each["seconds"] for count, each in found.items()}
    for count, each in found.items():
        apart = max(
            abs(a - b)
            for ours, one in zip(each["losses"], alone["losses"], strict=True)
            for a, b in zip(ours, one, strict=True)
        )
        told = "" if count == options.counts[0] or options.weak else f"{apart:.0e}"
        times = [f"{1e3 * each['seconds']:.1f}", f"{speeds[count]:,.0f}", f"{speeds[count] / speeds[options.counts[0]]:.2f}"]
        rows.append([str(count), str(each["batch"]), *times, told, f"{each['busy']:.2f}"])
    words = about(dataclasses.replace(recipe_of(settings_of(options.workload, options.device)), steps_per_dispatch=1))
    command = (
        f"`python tests/benchmarks/scaling.py {shlex.join(sys.argv[1:])}`: {options.workload}, {words}. {alone['machine']}."
    )
    of = "virtual devices that share the cores" if options.device == "cpu" else "GPUs"
    title = f"### One run over several devices, {options.device}: {of}"
    text = "\n\n".join([title, command, table(HEADER, rows)])
    print(text)
    if options.record:
        record(f"scaling {options.device}{' weak' if options.weak else ''}", text)


if __name__ == "__main__":
    main()
