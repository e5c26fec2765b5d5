"""Forms of R3GAN's grouped 3x3 convolution: how long each takes, forward, with its gradient and with a gradient's gradient.

    python tests/benchmarks/grouped_conv.py [--rounds 20]

All forms compute the same, which is asserted first. They take turns, one run each a round, so that whatever slows the
machine slows all; the least CPU time of the rounds counts. Prints rows of a Markdown table: milliseconds, and in brackets
the time over that of the form the network has on this backend.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxgan.nets.convolutions import grouped_conv

SIZES = {  # batch, side, channels, groups
    "narrow 8x8": (16, 8, 64, 4),
    "narrow 32x32": (16, 32, 64, 4),
    "E 8x8": (8, 8, 1536, 96),
    "E 16x16": (4, 16, 1536, 96),
}


def of_xla(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """XLA's own grouped convolution."""
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups)


def dense(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """One matrix for all groups, zero outside its diagonal blocks."""
    kh, kw, inputs, outputs = kernel.shape
    blocks = kernel.reshape(kh, kw, inputs, groups, outputs // groups)
    matrix = jnp.einsum("hwigo,gk->hwkigo", blocks, jnp.eye(groups, dtype=kernel.dtype))
    return of_xla(x, matrix.reshape(kh, kw, groups * inputs, outputs), 1)


def shifts(x: jax.Array, kernel: jax.Array, axis: int) -> list[jax.Array]:
    """What each tap of the kernel sees: `x` shifted; its rows are at `axis`, its columns next."""
    kh, kw = kernel.shape[:2]
    pads = [(0, 0)] * x.ndim
    pads[axis], pads[axis + 1] = (kh // 2, kh // 2), (kw // 2, kw // 2)
    wide = jnp.pad(x, pads)
    height, width = x.shape[axis : axis + 2]
    rows = [lax.slice_in_dim(wide, i, i + height, axis=axis) for i in range(kh)]
    return [lax.slice_in_dim(row, j, j + width, axis=axis + 1) for row in rows for j in range(kw)]


def patches(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """Nine shifts side by side, `[B, H, W, g, 9 I]`, times `[g, 9 I, O]`."""
    kh, kw, inputs, outputs = kernel.shape
    split = x.reshape(*x.shape[:3], groups, inputs)
    matrix = kernel.reshape(kh * kw * inputs, groups, outputs // groups)
    y = jnp.einsum("bhwgk,kgo->bhwgo", jnp.concatenate(shifts(split, kernel, 1), axis=-1), matrix)
    return y.reshape(*x.shape[:3], outputs)


def taps(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """A product for each tap, added up."""
    kh, kw, inputs, outputs = kernel.shape
    split = x.reshape(*x.shape[:3], groups, inputs)
    matrices = kernel.reshape(kh * kw, inputs, groups, outputs // groups)
    y = sum(jnp.einsum("bhwgi,igo->bhwgo", s, m) for s, m in zip(shifts(split, kernel, 1), matrices, strict=True))
    return jnp.asarray(y).reshape(*x.shape[:3], outputs)


def groups_first(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """As `patches`, but the groups are moved to the front once, before the nine shifts; so is `grouped_conv` on CPU
    where there is too little for tiles."""
    kh, kw, inputs, outputs = kernel.shape
    split = jnp.moveaxis(x.reshape(*x.shape[:3], groups, inputs), 3, 0)
    matrix = jnp.moveaxis(kernel.reshape(kh * kw * inputs, groups, outputs // groups), 1, 0)
    columns = jnp.concatenate(shifts(split, kernel, 2), axis=-1)
    y = lax.batch_matmul(columns.reshape(groups, -1, columns.shape[-1]), matrix)
    return jnp.moveaxis(y.reshape(groups, *x.shape[:3], -1), 0, 3).reshape(*x.shape[:3], outputs)


def rows_last(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """As `groups_first`, transposed: pixels are the long last axis of every matrix, `[g, O, 9 I] x [g, 9 I, B H W]`."""
    kh, kw, inputs, outputs = kernel.shape
    split = x.reshape(*x.shape[:3], groups, inputs).transpose(3, 4, 0, 1, 2)
    matrix = kernel.reshape(kh * kw * inputs, groups, outputs // groups).transpose(1, 2, 0)
    columns = jnp.concatenate(shifts(split, kernel, 3), axis=1)
    y = lax.batch_matmul(matrix, columns.reshape(groups, columns.shape[1], -1))
    y = y.reshape(groups, outputs // groups, *x.shape[:3]).transpose(2, 3, 4, 0, 1)
    return y.reshape(*x.shape[:3], outputs)


def merged(x: jax.Array, kernel: jax.Array, groups: int, *, factor: int) -> jax.Array:
    """As `groups_first`, but with `factor` groups in one product, zeros between them."""
    kh, kw, inputs, outputs = kernel.shape
    fewer, each = groups // factor, outputs // groups
    blocks = kernel.reshape(kh, kw, inputs, fewer, factor, each)
    wide = jnp.einsum("hwigfo,fk->hwkigfo", blocks, jnp.eye(factor, dtype=kernel.dtype))
    return groups_first(x, wide.reshape(kh, kw, factor * inputs, outputs), fewer)


FORMS: dict[str, Callable[..., jax.Array]] = {
    "grouped_conv": grouped_conv,
    "XLA's": of_xla,
    "dense": dense,
    "patches": patches,
    "taps": taps,
    "groups first": groups_first,
    "rows last": rows_last,
    "merged 2": partial(merged, factor=2),
    "merged 4": partial(merged, factor=4),
}


def forward(form: Callable[..., jax.Array], x: jax.Array, kernel: jax.Array, groups: int) -> Any:
    return form(x, kernel, groups)


def gradient(form: Callable[..., jax.Array], x: jax.Array, kernel: jax.Array, groups: int) -> Any:
    return jax.grad(lambda x, kernel: jnp.sin(form(x, kernel, groups)).sum(), argnums=(0, 1))(x, kernel)


def penalty(form: Callable[..., jax.Array], x: jax.Array, kernel: jax.Array, groups: int) -> Any:
    """The gradient of R1: a gradient with respect to the pixels, squared, differentiated by the kernel."""

    def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
        y = form(x, kernel, groups)
        return jnp.where(y > 0, y, 0.2 * y).sum()

    return jax.grad(lambda kernel: jnp.square(jax.grad(total)(x, kernel)).sum())(kernel)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    arguments = parser.parse_args()
    print("| size | what |", " | ".join(FORMS), "|\n|" + "---|" * (len(FORMS) + 2))
    for size in arguments.size:
        batch, side, channels, groups = SIZES[size]
        draw = np.random.default_rng(0)
        x = jnp.asarray(draw.standard_normal((batch, side, side, channels)), jnp.float32)
        kernel = jnp.asarray(draw.standard_normal((3, 3, channels // groups, channels)) / 12, jnp.float32)
        for what in (forward, gradient, penalty):
            # Left out of the wide ones: 96 times the products, and gradients that take half a minute each.
            slow = ("dense", "XLA's") if what is not forward else ("dense",)
            forms = {name: form for name, form in FORMS.items() if groups < 16 or name not in slow}
            runs = {name: jax.jit(partial(what, form, groups=groups)) for name, form in forms.items()}
            found = {name: jax.block_until_ready(run(x, kernel)) for name, run in runs.items()}
            for tree in found.values():
                for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(found["patches"]), strict=True):
                    np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * float(jnp.abs(b).max()))
            least = dict.fromkeys(runs, float("inf"))
            for _ in range(arguments.rounds):
                for name, run in runs.items():
                    start = time.process_time()  # of all threads, and of no other process
                    jax.block_until_ready(run(x, kernel))
                    least[name] = min(least[name], time.process_time() - start)
            ours = least["grouped_conv"]
            told = [f"{1e3 * least[name]:.2f} ({least[name] / ours:.2f})" if name in least else "" for name in FORMS]
            print(f"| {size} | {what.__name__} |", " | ".join(told), "|", flush=True)


if __name__ == "__main__":
    main()
