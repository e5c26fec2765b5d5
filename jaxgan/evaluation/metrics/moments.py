"""First and second moments of features in float64, block by block: 50,000 samples never lie in memory at once."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from jaxgan.evaluation.metrics.checks import checked
from jaxgan.system.messages import FieldError, shown

Covariance = Literal["sample", "population"]

_ROWS = 512  # collected before the scatter is touched: at D = 2,048 an update costs 64 MiB of traffic whatever its rows


class Moments(NamedTuple):
    """Count, mean and scatter of n samples: the parameters of a Gaussian fit."""

    n: int
    mean: np.ndarray  # [D] float64
    scatter: np.ndarray  # [D, D] float64, sum over samples of the outer product of their deviation from the mean


def moments(features: np.ndarray) -> Moments:
    """Computes the moments of samples in memory: `scatter = sum_i (x_i - mean) (x_i - mean)^T`.

    Args:
        features: x, `[N, D]`, of any real type; N at least 1.

    Returns:
        `Moments`.

    Raises:
        ValueError: when the shape does not fit or a feature is not finite.
    """
    x = checked("features", features).astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    return Moments(len(x), mean, x.T @ x)


def merge(a: Moments, b: Moments) -> Moments:
    """Computes the moments of the union of two sets of samples from those of each.

    With delta = mean_b - mean_a and n = n_a + n_b:

        mean = mean_a + delta n_b / n        scatter = scatter_a + scatter_b + delta delta^T n_a n_b / n

    Args:
        a: of one set.
        b: of the other.

    Returns:
        `Moments` of both; the order matters only to rounding.

    Raises:
        ValueError: when the sets differ in the number of features.

    References:
        Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample variances,
        equation 2.1, for vectors.
    """
    if a.mean.shape != b.mean.shape:
        raise FieldError("a, b", f"{len(a.mean)} and {len(b.mean)} features a sample", "they must be as many")
    n, delta = a.n + b.n, b.mean - a.mean
    scatter = np.outer(delta * (a.n * b.n / n), delta)
    scatter += a.scatter
    scatter += b.scatter
    return Moments(n, a.mean + delta * (b.n / n), scatter)


def streamed(blocks: Iterable[np.ndarray]) -> Moments:
    """Computes the moments of samples that come block by block; the same as `moments` of all at once.

    Args:
        blocks: features, each `[n, D]`; n may differ from block to block. Small blocks are collected first.

    Returns:
        `Moments`.

    Raises:
        ValueError: when there is no block, or one does not fit.
    """
    total: Moments | None = None
    waiting: list[np.ndarray] = []
    size = 0

    def merged() -> Moments:
        found = moments(np.concatenate(waiting))
        waiting.clear()
        return found if total is None else merge(total, found)

    for block in blocks:
        waiting.append(checked("blocks", block))
        size = size or waiting[0].shape[1]
        if waiting[-1].shape[1] != size:
            raise FieldError("blocks", f"{size} and {waiting[-1].shape[1]} features a sample", "they must be as many")
        if sum(map(len, waiting)) >= _ROWS:
            total = merged()
    if waiting:
        total = merged()
    if total is None:
        raise FieldError("blocks", "none", "there must be at least 1")
    return total


def covariance(m: Moments, *, kind: Covariance = "sample") -> np.ndarray:
    """`scatter / (n - 1)` of a sample, `scatter / n` of a population.

    Args:
        m: of at least 2 samples.
        kind: `"sample"`, without bias, or `"population"`.

    Returns:
        `[D, D]` float64.

    Raises:
        ValueError: when there are fewer than 2 samples or the kind is none of the two.
    """
    if kind not in ("sample", "population"):
        raise FieldError("kind", shown(kind), "it must be 'sample' or 'population'")
    if m.n < 2:
        raise FieldError("m", f"moments of {m.n} sample", "a covariance needs at least 2")
    return m.scatter / (m.n - 1 if kind == "sample" else m.n)
