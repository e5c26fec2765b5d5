"""Where a network's time goes on a CPU: each of its layers alone, in each pass of a step, here and in PyTorch.

    python tests/benchmarks/layers.py [--workloads 'R3GAN-32 narrow' 'StyleGAN2-64 narrow'] [--rounds 5] [--record]

The convolutions, products and low-pass filters are those that G and D call at the workload's batch, found by tracing both once;
equal ones are timed once and counted. Passes: forward; gradient, forward and back to input and kernel; penalty, the gradient
with respect to the kernel of the squared norm of the gradient with respect to the input, as R1 needs it; filters have none. The
two libraries take turns in one process, on as many threads, channels last in PyTorch; the least wall time of the rounds counts.
Share: multiplications per second, counted for the direct form, as a share of what a product of two large matrices reaches; a
form with fewer of them can exceed 100 %. A gradient counts as three forward passes (a filter's as two), a penalty as four.
"""

import argparse
import functools
import math
import os
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from sides import machine_words, record, table
from torch.nn import functional as F
from workloads import CPU, recipe_of, settings_of

from jaxgan.core import resample
from jaxgan.nets import layers, r3gan, stylegan2_layers, stylegan2_operations
from jaxgan.nets.convolutions import conv, conv_transpose, grouped_conv, pointwise
from jaxgan.recipes import Recipe
from jaxgan.system import host_memory
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import build

PLACES = (layers, r3gan, stylegan2_layers, stylegan2_operations)  # the modules whose names are watched
PASSES = {"forward": 1, "gradient": 3, "penalty": 4}  # how many forward passes' products


class Layer(NamedTuple):
    """One operation and its sizes."""

    kind: str
    x: tuple[int, ...]
    kernel: tuple[int, ...]  # () of a filter
    options: tuple[tuple[str, Hashable], ...]


def filtered(x: jax.Array, **options: Any) -> jax.Array:
    return resample.upfirdn(x, stylegan2_operations.LOW_PASS, **options)


OURS: dict[str, Callable[..., jax.Array]] = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "grouped_conv": grouped_conv,
    "pointwise": pointwise,
    "upfirdn": filtered,
}


def theirs(layer: Layer, x: torch.Tensor, kernel: torch.Tensor | None = None) -> torch.Tensor:
    """The same operation of PyTorch, on channels last."""
    options: dict[str, Any] = dict(layer.options)
    if kernel is None:
        return _filtered_by_torch(x, **options)
    if layer.kind == "conv_transpose":
        return F.conv_transpose2d(x, kernel, stride=options["stride"], padding=options["padding"])
    if layer.kind == "grouped_conv":
        return F.conv2d(x, kernel, padding=1, groups=options["groups"])
    return F.conv2d(x, kernel, stride=options.get("stride", 1), padding=options.get("padding", 0))


def _filtered_by_torch(
    x: torch.Tensor, *, up: int = 1, down: int = 1, padding: tuple[int, ...] = (0, 0, 0, 0), gain: float = 1.0
) -> torch.Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
    channels = x.shape[1]
    kernel = (torch.outer(taps, taps) * gain).expand(channels, 1, 4, 4).contiguous()
    if up == 2:  # padding of the image with zeros between, of which a transposed convolution has three around it
        return F.conv_transpose2d(x, kernel, stride=2, padding=3 - padding[0], groups=channels)
    if min(padding) != max(padding):
        x, padding = F.pad(x, padding), (0, 0, 0, 0)
    return F.conv2d(x, kernel, stride=down, padding=padding[0], groups=channels)


def found(recipe: Recipe) -> Counter[Layer]:
    """The layers that G and D call, with how often, at the batch that each of them sees in a step."""
    side, channels = recipe.data.image_size or 32, recipe.data.channels or 3
    experiment = build(recipe, shape=Shape((side, side, channels), 0))
    gan, critic = experiment.gan, experiment.discriminator
    seen: Counter[Layer] = Counter()
    together = recipe.loss == "relativistic"  # D sees real and generated images at once
    state = jax.eval_shape(gan.init, jax.random.key(0))

    def watched(name: str, original: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        def call(x: jax.Array, *rest: Any, **options: Any) -> jax.Array:
            kernel = () if name == "upfirdn" else tuple(rest[0].shape)
            named = options | dict(zip(("groups",), rest[1:], strict=False))
            seen[Layer(name, tuple(x.shape), kernel, tuple(sorted(named.items())))] += 1
            return original(x, *rest, **options)

        return call

    kept = [(place, name, getattr(place, name)) for place in (*PLACES, resample) for name in OURS if hasattr(place, name)]
    try:
        for place, name, original in kept:
            setattr(place, name, watched(name, original))
        jax.eval_shape(gan.sample, state.ema, jax.random.key(0), jnp.zeros(recipe.batch_size, jnp.int32))
        rows = recipe.batch_size * (1 + together)
        images, labels = jnp.zeros((rows, side, side, channels)), jnp.zeros(rows, jnp.int32)
        judge = functools.partial(critic.apply, train=True)
        jax.eval_shape(judge, state.d.params, state.d.stats, images, labels, jax.random.key(0))
    finally:
        for place, name, original in kept:
            setattr(place, name, original)
    return seen


def passes(layer: Layer) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Of each pass what computes it here and in PyTorch; both are tried once, and their forward passes compared."""
    options = dict(layer.options)
    ours = functools.partial(OURS[layer.kind], **options)
    given: tuple[jax.Array, ...] = (jax.random.normal(jax.random.key(0), layer.x),)
    if layer.kernel:
        kernel = jax.random.normal(jax.random.key(1), layer.kernel) / math.sqrt(math.prod(layer.kernel[:-1]))
        given = (*given, kernel)

    def total(*given: jax.Array) -> jax.Array:
        y = ours(*given)
        return jnp.where(y > 0, y, 0.2 * y).sum()

    def squared(*given: jax.Array) -> jax.Array:
        return jnp.square(jax.grad(total)(*given)).sum()

    compiled = {"forward": jax.jit(ours), "gradient": jax.jit(jax.grad(total, argnums=tuple(range(len(given)))))}
    if layer.kernel:
        compiled["penalty"] = jax.jit(jax.grad(squared, argnums=1))
    x, *weights = _in_torch(layer, given)
    for each in (x, *weights):
        each.requires_grad_()

    def result() -> torch.Tensor:
        return theirs(layer, x, *weights)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return result()

    def gradient(of: list[torch.Tensor], *, again: bool = False) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(F.leaky_relu(result(), 0.2).sum(), of, create_graph=again)

    def penalty() -> Any:
        return torch.autograd.grad(gradient([x], again=True)[0].square().sum(), weights)

    peers = {
        "forward": forward,
        "gradient": lambda: gradient([x, *weights]),
        "penalty": penalty,
    }
    y, expected = jax.device_get(compiled["forward"](*given)), forward().movedim(1, -1).numpy()
    apart = np.abs(y - expected.reshape(y.shape)).max() / np.abs(y).max()
    if apart > 1e-4:
        raise AssertionError(f"{layer}: PyTorch's result is {apart:.1e} of the largest apart")
    return {name: (functools.partial(_ready, run, given), peers[name]) for name, run in compiled.items()}


def _ready(run: Callable[..., Any], given: tuple[jax.Array, ...]) -> None:
    jax.block_until_ready(run(*given))


def _in_torch(layer: Layer, given: tuple[jax.Array, ...]) -> list[torch.Tensor]:
    tensors = [torch.tensor(jax.device_get(each)) for each in given]
    if layer.kind == "pointwise":  # [.., I] and [I, O]: a convolution of size 1
        x = tensors[0].reshape(-1, 1, 1, layer.x[-1]) if len(layer.x) == 2 else tensors[0]
        tensors = [x, tensors[1].reshape(1, 1, *layer.kernel)]
    x = tensors[0].movedim(-1, 1)
    order = (2, 3, 0, 1) if layer.kind == "conv_transpose" else (3, 2, 0, 1)
    kernels = [each.permute(*order).contiguous(memory_format=torch.channels_last) for each in tensors[1:]]
    return [x.contiguous(memory_format=torch.channels_last), *kernels]


def products(layer: Layer) -> float:
    """Floating point operations of the direct form, forward."""
    options: dict[str, Any] = dict(layer.options)
    pixels = math.prod(layer.x[:-1])
    if layer.kind == "upfirdn":  # 4x4 taps; with up 2 half of them along each axis meet zeros
        up, down = options.get("up", 1), options.get("down", 1)
        return 2.0 * 16 * pixels * layer.x[-1] / (down**2 if up == 1 else 1)
    if layer.kind in ("conv_transpose", "pointwise"):
        return 2.0 * pixels * math.prod(layer.kernel)
    return 2.0 * pixels * math.prod(layer.kernel) / options.get("stride", 1) ** 2


def least(runs: tuple[Callable[[], Any], ...], rounds: int) -> list[float]:
    """The least wall seconds of each, in turns; short ones are repeated within a turn."""
    took = [math.inf] * len(runs)
    for _ in range(rounds):
        for number, run in enumerate(runs):
            run()
            start, count = time.perf_counter(), 0
            while count == 0 or time.perf_counter() - start < 0.02:
                run()
                count += 1
            took[number] = min(took[number], (time.perf_counter() - start) / count)
    return took


def words(layer: Layer) -> list[str]:
    kernel = "x".join(map(str, layer.kernel)) or "4x4 taps"
    options = ", ".join(f"{name} {value}" for name, value in layer.options if name not in ("padding", "gain"))
    return [layer.kind, "x".join(map(str, layer.x)), kernel + (f", {options}" if options else "")]


def measured(recipe: Recipe, rounds: int, peak: float) -> str:
    """The table of one workload, the most time first."""
    lines: list[tuple[float, list[str]]] = []
    sums = {each: [0.0, 0.0] for each in PASSES}
    for layer, times in found(recipe).items():
        cells, total = list[str](), 0.0
        for each, runs in passes(layer).items():
            ours, peer = least(runs, rounds)
            many = PASSES[each] if layer.kernel or each == "forward" else 2
            share = many * products(layer) / ours / peak
            cells.append(f"{1e3 * ours:.2f}, {1e3 * peer:.2f} ({peer / ours:.2f}), {100 * share:.0f} %")
            total += times * ours
            sums[each] = [sums[each][0] + times * ours, sums[each][1] + times * peer]
        cells += [""] * (len(PASSES) - len(cells))
        lines.append((total, [*words(layer), str(times), *cells]))
        print(*lines[-1][1], sep=" | ", flush=True)
    rows = [row for _, row in sorted(lines, reverse=True)]
    all_of_it = [f"{1e3 * ours:.0f}, {1e3 * peer:.0f} ({peer / ours:.2f})" for ours, peer in sums.values()]
    header = ["operation", "input", "kernel", "calls", *(f"{each}: ms, PyTorch's (ratio), share" for each in PASSES)]
    return table(header, [*rows, ["all", "", "", "", *all_of_it]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["R3GAN-32 narrow", "StyleGAN2-64 narrow"]
    parser.add_argument("--workloads", nargs="+", choices=list(CPU), default=names)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="put the tables into RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    square = jnp.ones((2048, 2048))
    multiply = jax.jit(jnp.matmul)
    (seconds,) = least((functools.partial(_ready, multiply, (square, square)),), options.rounds)
    peak = 2.0 * 2048**3 / seconds
    versions = {"Python": platform.python_version(), "jax": jax.__version__, "torch": torch.__version__}
    where = f"{machine_words('cpu', 'cpu', versions)}. Matrix products: {peak / 1e9:.0f} GFLOP/s"
    for name in options.workloads:
        recipe = recipe_of(settings_of(name, "cpu", "float32"))
        rows = measured(recipe, options.rounds, peak)
        command = f"`python tests/benchmarks/layers.py {shlex.join(sys.argv[1:])}`: batch {recipe.batch_size}. {where}."
        text = "\n\n".join([f"### {name}, layer by layer", command, rows])
        print(f"\n{text}", flush=True)
        if options.record:
            record(f"layers {name}", text)
    return 0


if __name__ == "__main__":
    host_memory.keep()
    sys.exit(main())
