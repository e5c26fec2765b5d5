"""Densities on points that one can draw from and evaluate exactly."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import logsumexp
from jax.sharding import NamedSharding, PartitionSpec

from jaxgan.core.types import Batch, Dataset, Key
from jaxgan.system.messages import FieldError


class Density(NamedTuple):
    """A distribution on points, known exactly."""

    sample: Callable[[Key, int], jax.Array]  # (key, n) -> [n, d] float32
    log_density: Callable[[jax.Array], jax.Array]  # [n, d] -> [n]
    centres: np.ndarray  # [M, d] modes; [0, d] when it has none
    weights: np.ndarray  # [M] of the modes, they sum to 1
    sigma: float  # standard deviation around a mode, or across a curve, in each coordinate


def gaussian_mixture(
    centres: Sequence[Sequence[float]] | np.ndarray, sigma: float, weights: Sequence[float] | np.ndarray | None = None
) -> Density:
    """Returns a mixture of round Gaussians: `p(x) = sum_m w_m N(x; c_m, sigma^2 I)`.

    Args:
        centres: c, `[M, d]`, or `[M]` on the line.
        sigma: standard deviation in each coordinate, above 0.
        weights: w, `[M]`, not negative, of sum 1; equal by default.

    Returns:
        A `Density` with M modes.

    Raises:
        ValueError: when sigma is not above 0, the weights do not sum to 1, or the shapes do not fit.
    """
    _check_sigma(sigma)
    centre = np.asarray(centres, np.float64)
    centre = centre[:, None] if centre.ndim == 1 else centre
    if centre.ndim != 2 or not centre.size or not np.isfinite(centre).all():
        raise FieldError("centres", f"shape {np.shape(centres)}", "they must be finite numbers of shape [M, d] or [M]")
    modes, d = centre.shape
    weight = np.full(modes, 1.0 / modes) if weights is None else np.asarray(weights, np.float64)
    if weight.shape != (modes,):
        raise FieldError("weights", f"shape {weight.shape}", f"there are {modes} centres")
    if not (weight >= 0).all() or abs(weight.sum() - 1.0) > 1e-6:
        raise FieldError("weights", f"their sum is {weight.sum():g}", "they must not be negative and sum to 1")

    def sample(key: Key, n: int) -> jax.Array:
        mode_key, noise_key = jax.random.split(key)
        mode = jax.random.choice(mode_key, modes, (n,), p=jnp.asarray(weight, jnp.float32))
        return jnp.asarray(centre, jnp.float32)[mode] + sigma * jax.random.normal(noise_key, (n, d))

    return Density(sample, _log_mixture(centre, weight, sigma), centre, weight, float(sigma))


def ring(*, modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Density:
    """Returns Gaussians spaced evenly on a circle, the field's "2D-ring".

    Args:
        modes: number of Gaussians, at least 1.
        radius: of the circle.
        sigma: standard deviation of each.

    Returns:
        A `Density` with `modes` modes.

    Raises:
        ValueError: when `modes` is below 1 or `sigma` not above 0.

    References:
        Srivastava et al. 2017 (VEEGAN), section 4.1; Lin et al. 2018 (PacGAN), section 4.1.
    """
    if modes < 1:
        raise FieldError("modes", modes, "there must be at least 1")
    angle = 2.0 * np.pi * np.arange(modes) / modes
    return gaussian_mixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), sigma)


def grid(*, side: int = 5, spacing: float = 2.0, sigma: float = 0.05) -> Density:
    """Returns Gaussians on a square grid around 0, the field's "2D-grid": `{-4, -2, 0, 2, 4}^2`.

    Args:
        side: Gaussians along each side.
        spacing: from one to the next.
        sigma: standard deviation of each.

    Returns:
        A `Density` with `side^2` modes.

    Raises:
        ValueError: when `side` is below 1 or `sigma` not above 0.

    References:
        Srivastava et al. 2017 (VEEGAN), section 4.1; Lin et al. 2018 (PacGAN), section 4.1.
    """
    if side < 1:
        raise FieldError("side", side, "it must be at least 1")
    ticks = spacing * (np.arange(side) - (side - 1) / 2.0)
    return gaussian_mixture(np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2), sigma)


def swiss_roll(*, sigma: float = 0.02) -> Density:
    """Returns a spiral of two windings with Gaussian noise: `x = a (cos a, sin a) / (4.5 pi) + sigma n`.

    `a ~ U[1.5 pi, 4.5 pi]`. The log-density is an integral over a, taken by Gauss-Legendre quadrature and exact to float32.

    Args:
        sigma: standard deviation of the noise in each coordinate, above 0; the spiral's last radius is 1.

    Returns:
        A `Density` without modes.

    Raises:
        ValueError: when sigma is not above 0.
    """
    _check_sigma(sigma)
    # Panels of at most 4 sigma: the outermost are the longest, 9.5 over their number.
    panels = math.ceil(9.5 / (4.0 * sigma))
    nodes, node_weights = np.polynomial.legendre.leggauss(8)
    share = ((np.arange(panels)[:, None] + 0.5 + 0.5 * nodes) / panels).ravel()
    weight = np.tile(0.5 * node_weights / panels, panels)

    def curve(share: np.ndarray) -> np.ndarray:
        angle = np.pi * (1.5 + 3.0 * share)
        return angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) / (4.5 * np.pi)

    def sample(key: Key, n: int) -> jax.Array:
        place_key, noise_key = jax.random.split(key)
        angle = jnp.pi * (1.5 + 3.0 * jax.random.uniform(place_key, (n,)))
        points = angle[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1) / (4.5 * jnp.pi)
        return points + sigma * jax.random.normal(noise_key, (n, 2))

    return Density(sample, _log_mixture(curve(share), weight, sigma), np.zeros((0, 2)), np.zeros(0), float(sigma))


def dataset(density: Density, *, name: str) -> Dataset:
    """Makes an endless data set without labels of a density.

    Args:
        density: the distribution to learn.
        name: name of the data set.

    Returns:
        A `Dataset`. The batch of step s is drawn with `fold_in(key(seed), s)`, so it depends on the seed, the step
        and the batch size only. `sharding` is the sharding of one batch, over its first axis.
    """
    shape = jax.eval_shape(lambda: density.sample(jax.random.key(0), 1)).shape[1:]

    def batches(seed: int, batch_size: int, sharding: NamedSharding | None = None) -> Callable[..., Batch]:
        if batch_size < 1:
            raise FieldError("batch_size", batch_size, "it must be at least 1")

        def draw(step: jax.Array | int, steps: int = 1) -> Batch:
            key = jax.random.key(seed)
            # One after the other: the arithmetic of a step is then the same however many are drawn at once.
            points = jax.lax.map(lambda i: density.sample(jax.random.fold_in(key, i), batch_size), step + jnp.arange(steps))
            return {"image": points, "label": jnp.zeros((steps, batch_size), jnp.int32)}

        stacked = sharding and NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))
        return jax.jit(draw, static_argnames="steps", out_shardings=stacked)

    return Dataset(name, "train", shape, (), None, batches)


def _log_mixture(centre: np.ndarray, weight: np.ndarray, sigma: float) -> Callable[[jax.Array], jax.Array]:
    d = centre.shape[1]
    log_weight = jnp.log(jnp.asarray(weight, jnp.float32)) - d * math.log(sigma * math.sqrt(2.0 * math.pi))

    def one(point: jax.Array) -> jax.Array:
        squared = jnp.square((point[None, :] - jnp.asarray(centre, jnp.float32)) / sigma).sum(axis=1)
        return logsumexp(log_weight - 0.5 * squared)

    # In blocks: a swiss roll has a thousand nodes, and a grid of points may have a million.
    def log_density(x: jax.Array) -> jax.Array:
        return jax.lax.map(one, x, batch_size=4_096)

    return log_density


def _check_sigma(sigma: float) -> None:
    if not (sigma > 0.0 and math.isfinite(sigma)):
        raise FieldError("sigma", sigma, "it must be a finite number above 0")
