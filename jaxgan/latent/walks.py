"""Walks in a latent space: loops, sheets, style mixing. Lines from one latent to another are in `core.latents`."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.latents import Path, slerp
from jaxgan.system.messages import FieldError


def loop(points: jax.Array, frames: int, *, shell: bool = True) -> jax.Array:
    """Returns a smooth closed loop through all points: a periodic cubic spline, twice continuously differentiable.

    Args:
        points: `[K, D]`, K at least 2.
        frames: from each point to the next, the first counted.
        shell: scale each frame to a norm that goes linearly from that of a point to that of the next. Norms of normal latents
            in many dimensions hardly vary, and a curve through several cuts through the middle, where the generator was
            given none in training.

    Returns:
        `[K frames, D]`; row `i frames` is point i, and after the last row comes the first.

    Raises:
        FieldError: when there are fewer than two points, or `frames` is below 1.
    """
    x = np.asarray(points, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise FieldError("points", f"shape {list(x.shape)}", "it must be [K, D] with K at least 2")
    if frames < 1:
        raise FieldError("frames", frames, "it must be at least 1")
    slopes = _periodic_slopes(x)
    t = (np.arange(frames) / frames)[None, :, None]
    start, end = x[:, None], np.roll(x, -1, axis=0)[:, None]
    leave, arrive = slopes[:, None], np.roll(slopes, -1, axis=0)[:, None]
    # Hermite's form of the cubic.
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * start + (t**3 - 2 * t**2 + t) * leave + (3 * t**2 - 2 * t**3) * end + (t**3 - t**2) * arrive
    )
    if shell:
        norms = np.linalg.norm(x, axis=1)
        wanted = (1 - t[..., 0]) * norms[:, None] + t[..., 0] * np.roll(norms, -1)[:, None]
        curve = curve * (wanted / np.maximum(np.linalg.norm(curve, axis=-1), 1e-12))[..., None]
    return jnp.asarray(curve.reshape(-1, x.shape[1]), jnp.float32)


def sheet(corners: jax.Array, rows: int, columns: int, path: Path = slerp) -> jax.Array:
    """Returns latents between four corners, along the path in both directions.

    Args:
        corners: `[4, D]`: top left, top right, bottom left, bottom right.
        rows: at least 2.
        columns: at least 2.
        path: `slerp` or `lerp`.

    Returns:
        `[rows, columns, D]`, the corners exactly at the corners.

    Raises:
        FieldError: when there are not four corners, or a side is below 2.
    """
    if corners.ndim != 2 or len(corners) != 4:
        raise FieldError("corners", f"shape {list(corners.shape)}", "it must be [4, D]")
    if min(rows, columns) < 2:
        raise FieldError("frames", min(rows, columns), "it must be at least 2")
    down, across = jnp.arange(rows) / (rows - 1), jnp.arange(columns) / (columns - 1)
    left, right = (path(corners[i][None], corners[i + 2][None], down) for i in range(2))  # [rows, D]
    return path(left[:, None], right[:, None], across[None, :])


def style_mix(coarse: jax.Array, fine: jax.Array, cut: int) -> jax.Array:
    """Returns styles that are coarse up to a layer and fine from there on, each of the first with each of the second.

    Args:
        coarse: `[A, L, D_w]`.
        fine: `[B, L, D_w]`.
        cut: layers that the coarse ones give, from 1 to L - 1.

    Returns:
        `[A, B, L, D_w]`.

    Raises:
        FieldError: when the cut is out of range.

    References:
        Karras et al. 2019, A style-based generator architecture for GANs, section 3.1.
    """
    layers = coarse.shape[1]
    if not 1 <= cut < layers:
        raise FieldError("cut", cut, f"it must be from 1 to {layers - 1}, of {layers} layers")
    first = jnp.arange(layers)[None, None, :, None] < cut
    return jnp.where(first, coarse[:, None], fine[None])


def _periodic_slopes(x: np.ndarray) -> np.ndarray:
    """Returns the derivatives of a periodic cubic spline at its points: `m_(i-1) + 4 m_i + m_(i+1) = 3 (x_(i+1) - x_(i-1))`."""
    count = len(x)
    eye = np.eye(count)
    system = 4 * eye + np.roll(eye, 1, axis=1) + np.roll(eye, -1, axis=1)
    found: np.ndarray = np.linalg.solve(system, 3 * (np.roll(x, -1, axis=0) - np.roll(x, 1, axis=0)))
    return found
