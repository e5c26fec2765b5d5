"""Mode coverage of a density: how many of its modes samples show, and what a perfect sampler would score."""

import math
from typing import NamedTuple

import jax
import numpy as np

from jaxgan.system.messages import FieldError
from jaxgan.toy.densities import Density


class Coverage(NamedTuple):
    """The share of a mixture that n samples show."""

    modes: float  # modes with at least one high-quality sample
    high_quality: float  # share of samples within 3 sigma of a centre, in [0, 1]
    reverse_kl: float  # KL(generated || true) over the modes, in nats; inf without a high-quality sample
    n: int


def coverage(samples: np.ndarray | jax.Array, density: Density) -> Coverage:
    """Counts modes by PacGAN's protocol, which asks for 2,500 samples.

    A sample belongs to its nearest centre, and is of high quality within 3 sigma of that centre (Euclidean distance). A
    mode counts with at least one such sample. With q the shares of the modes among them, and w the true weights,
    `reverse_kl = sum_m q_m log(q_m / w_m)`. A perfect sampler does not score 1 and 0: see `coverage_floor`.

    Args:
        samples: `[n, d]`; one that is not finite is not of high quality.
        density: with M modes; n must be at least M.

    Returns:
        A `Coverage`.

    Raises:
        ValueError: when the density has no modes, the shapes do not fit, or n is below M.

    References:
        Lin et al. 2018, PacGAN, section 4.1; Srivastava et al. 2017 (VEEGAN), section 4.1.
    """
    points, (modes, d) = np.asarray(samples, np.float64), density.centres.shape
    if not modes:
        raise FieldError("density", "it has no modes", "they are to be counted; take a mixture of Gaussians")
    if points.ndim != 2 or points.shape[1] != d:
        raise FieldError("samples", f"shape {points.shape}", f"it must be [n, {d}]")
    _check_count(len(points), density)
    points = points[np.isfinite(points).all(axis=1)]
    distance = np.sqrt(sum(np.subtract.outer(points[:, i], density.centres[:, i]) ** 2 for i in range(d)))
    counts = np.bincount(distance.argmin(axis=1)[distance.min(axis=1) < 3.0 * density.sigma], minlength=modes)
    good, hit = counts.sum(), counts > 0
    share = counts[hit] / max(good, 1)
    reverse_kl = float(np.sum(share * np.log(share / density.weights[hit]))) if good else math.inf
    return Coverage(float(hit.sum()), float(good / len(samples)), reverse_kl, len(samples))


class CoverageFloor(NamedTuple):
    """The scores of a perfect sampler."""

    mean: Coverage
    standard_error: Coverage  # of the mean
    deviation: Coverage  # of a single sampling around the mean, by chance alone


def coverage_floor(density: Density, n: int = 2_500, *, seeds: int = 100) -> CoverageFloor:
    """Scores samples of the density itself. Print the floor beside a result: a better result is a mistake.

    Args:
        density: with modes.
        n: number of samples, the same as for the result.
        seeds: independent samplings that are averaged, at least 2.

    Returns:
        Mean, standard error and standard deviation of each field of `Coverage`.

    Raises:
        ValueError: as `coverage`, and when `seeds` is below 2.
    """
    if seeds < 2:
        raise FieldError("seeds", seeds, "a standard error needs at least 2")
    _check_count(n, density)
    draw = jax.jit(lambda key: density.sample(key, n))
    scores = np.array([coverage(draw(jax.random.key(seed)), density)[:3] for seed in range(seeds)])
    mean, deviation = scores.mean(axis=0), scores.std(axis=0, ddof=1)
    three = (mean.tolist(), (deviation / math.sqrt(seeds)).tolist(), deviation.tolist())
    return CoverageFloor(*(Coverage(modes, good, kl, n) for modes, good, kl in three))


def _check_count(n: int, density: Density) -> None:
    if n < len(density.centres):
        raise FieldError("n", n, f"{len(density.centres)} modes need at least as many samples")
