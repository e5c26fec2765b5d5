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
    if taps.ndim == 1:
        taps = taps * math.sqrt(gain)
        taps = taps if flip else taps[::-1]
        x = _along(x, taps, 2, ups[0], downs[0], (left, right))
        return _along(x, taps, 1, ups[1], downs[1], (above, below))
    # lax.pad inserts zeros between the pixels only: those after the last are padding like the rest.
    config = [(0, 0, 0), (above, below + ups[1] - 1, ups[1] - 1), (left, right + ups[0] - 1, ups[0] - 1), (0, 0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), config)
    taps = taps * gain
    taps = taps if flip else taps[::-1, ::-1]
    rows = [_along(x, row, 2, 1, downs[0], (0, 0)) for row in taps]  # the filter's rows, each applied to every row of the image
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


def _along(x: jax.Array, taps: np.ndarray | jax.Array, axis: int, up: int, down: int, padding: tuple[int, int]) -> jax.Array:
    """`sum_k taps[k] x_[down i + k]` along one axis, x_ with `up - 1` zeros after each value and padded."""
    before, after = padding
    if up > 1 and down == 1:
        return _between(x, taps, axis, up, before, up * x.shape[axis] + before + after - len(taps) + 1)
    x = _moved(x, axis, before, after + up - 1, up - 1)
    count = (x.shape[axis] - len(taps)) // down + 1
    parts = [_strided(x, k, count, down, axis) * taps[k].astype(x.dtype) for k in range(len(taps))]
    return sum(parts[1:], parts[0])


def _between(x: jax.Array, taps: np.ndarray | jax.Array, axis: int, up: int, before: int, count: int) -> jax.Array:
    """Likewise of `count` values, without the zeros: those congruent to c modulo `up` see every `up`-th tap only."""
    each, size, phases = -(-count // up), x.shape[axis], []
    for c in range(up):
        seen = [(taps[k].astype(x.dtype), (c + k - before) // up) for k in range((before - c) % up, len(taps), up)]
        parts = [_moved(x, axis, -start, each + start - size) * tap for tap, start in seen]
        phases.append(sum(parts[1:], parts[0]) if parts else jnp.zeros_like(_moved(x, axis, 0, each - size)))
    y = jnp.stack(phases, axis=axis + 1).reshape(*x.shape[:axis], up * each, *x.shape[axis + 1 :])
    return y if up * each == count else lax.slice_in_dim(y, 0, count, axis=axis)


def _moved(x: jax.Array, axis: int, before: int, after: int, between: int = 0) -> jax.Array:
    """Pads one axis with zeros before, after and between its values; a negative number cuts off."""
    config = [(before, after, between) if i == axis else (0, 0, 0) for i in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _strided(x: jax.Array, start: int, count: int, stride: int, axis: int) -> jax.Array:
    return lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, axis)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _sides(taps: np.ndarray) -> tuple[int, int]:
    return taps.shape[0], taps.shape[-1]
