"""Resampling by a filter: insert zeros, pad, filter, keep every n-th pixel. For StyleGAN2, R3GAN and ADA.

Written as sums of shifted images: exact, differentiable any number of times, and without the convolutions by channel that
XLA runs slowly in its gradients. Outside an image there are zeros, so that borders darken; `jax.image.resize` clamps.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Pair = int | tuple[int, int]  # of both axes, or (x, y)
Four = tuple[int, int, int, int]  # pixels (left, right, above, below); negative ones are cut off


def low_pass(taps: Sequence[float]) -> np.ndarray:
    """A separable filter of sum 1, `taps / sum(taps)`; `(1, 3, 3, 1)` is the usual one."""
    values = np.asarray(taps, np.float64)
    return values / values.sum()


def upfirdn(
    x: jax.Array,
    taps: np.ndarray | jax.Array,
    *,
    up: Pair = 1,
    down: Pair = 1,
    padding: Four = (0, 0, 0, 0),
    flip: bool = False,
    gain: float = 1.0,
) -> jax.Array:
    """Upsample, filter, downsample: `y[i] = sum_k taps[k] x_[down i + K - 1 - k]`, x_ with zeros inserted and padded.

    Args:
        x: `[B, H, W, C]`.
        taps: `[K]`, along both axes, or `[KH, KW]`.
        up: pixel i goes to place `up i`, zeros between, and `up - 1` of them after the last.
        down: of the filtered pixels every `down`-th is kept, from the first on.
        padding: zeros around the pixels with the zeros between them.
        flip: correlate instead of convolve, `taps[k] x_[down i + k]`.
        gain: factor of the result.

    Returns:
        `[B, (up H + above + below - KH) // down + 1, (up W + left + right - KW) // down + 1, C]`.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data, appendix on the filters.
    """
    ups, downs = _pair(up), _pair(down)
    taps = np.asarray(taps) if isinstance(taps, np.ndarray) else jnp.asarray(taps)
    left, right, above, below = padding
    # lax.pad inserts zeros between the pixels only: those after the last are padding like the rest.
    config = [(0, 0, 0), (above, below + ups[1] - 1, ups[1] - 1), (left, right + ups[0] - 1, ups[0] - 1), (0, 0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), config)
    if taps.ndim == 1:
        taps = taps * math.sqrt(gain)
        taps = taps if flip else taps[::-1]
        return _along(_along(x, taps, 2, downs[0]), taps, 1, downs[1])
    taps = taps * gain
    taps = taps if flip else taps[::-1, ::-1]
    rows = [_along(x, row, 2, downs[0]) for row in taps]  # the filter's rows, each applied to every row of the image
    count = (x.shape[1] - len(rows)) // downs[1] + 1
    return sum((_strided(row, k, count, downs[1], 1) for k, row in enumerate(rows)), jnp.zeros((), x.dtype))


def upsample(x: jax.Array, taps: np.ndarray, *, factor: int = 2, gain: float = 1.0) -> jax.Array:
    """Enlarges `factor` times: `upfirdn` with the padding that keeps the image in place and a gain that keeps its size.

    Args:
        x: `[B, H, W, C]`.
        taps: `[K]` or `[KH, KW]`.
        factor: of both sides.
        gain: a further factor of the result.

    Returns:
        `[B, factor H, factor W, C]`.
    """
    height, width = _sides(taps)
    padding = ((width + factor - 1) // 2, (width - factor) // 2, (height + factor - 1) // 2, (height - factor) // 2)
    return upfirdn(x, taps, up=factor, padding=padding, gain=gain * factor**2)


def downsample(x: jax.Array, taps: np.ndarray, *, factor: int = 2, gain: float = 1.0) -> jax.Array:
    """Shrinks `factor` times: filters, then keeps every `factor`-th pixel.

    Args:
        x: `[B, H, W, C]`.
        taps: `[K]` or `[KH, KW]`.
        factor: of both sides.
        gain: factor of the result.

    Returns:
        `[B, H / factor, W / factor, C]`.
    """
    height, width = _sides(taps)
    padding = ((width - factor + 1) // 2, (width - factor) // 2, (height - factor + 1) // 2, (height - factor) // 2)
    return upfirdn(x, taps, down=factor, padding=padding, gain=gain)


def _along(x: jax.Array, taps: np.ndarray | jax.Array, axis: int, down: int) -> jax.Array:
    """`sum_k taps[k] x[down i + k]` along one axis."""
    count = (x.shape[axis] - len(taps)) // down + 1
    parts = [_strided(x, k, count, down, axis) * taps[k].astype(x.dtype) for k in range(len(taps))]
    return sum(parts[1:], parts[0])


def _strided(x: jax.Array, start: int, count: int, stride: int, axis: int) -> jax.Array:
    return lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, axis)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _sides(taps: np.ndarray) -> tuple[int, int]:
    return taps.shape[0], taps.shape[-1]
