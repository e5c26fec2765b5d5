"""The sliced Wasserstein distance between real and generated features, from their quantiles along many directions."""

import math

import numpy as np

from jaxgan.evaluation.metric import KEPT, Metric, Score, Scores, Statistics
from jaxgan.evaluation.metrics.checks import checked_pair
from jaxgan.system.messages import FieldError

_AT_A_TIME = 32  # directions


def sliced_wasserstein(real: np.ndarray, fake: np.ndarray, *, projections: int = 256, seed: int = 2020) -> float:
    """Computes the sliced 2-Wasserstein distance, in float64.

    With directions `w_k` uniform on the sphere and `F_k, G_k` the quantile functions of `w_k . real` and `w_k . fake`:

        sqrt(mean_k int_0^1 (F_k(t) - G_k(t))^2 dt)

    The integral is exact, also for sets of different sizes. The distance is in the units of the features, and is at most
    `1 / sqrt(D)` times the 2-Wasserstein distance. It shrinks as samples are added: compare it with its floor.

    Args:
        real: `[N, D]`.
        fake: `[M, D]`.
        projections: number of directions.
        seed: of the directions, 0 to 2^32 - 1; keep it the same for figures that are compared.

    Returns:
        The distance, at least 0.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or an option is out of range.

    References:
        Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters of measures, section 2.2; Karras et al. 2018,
        Progressive growing of GANs, section 5 (as a measure of samples).
    """
    real, fake = checked_pair(real, fake)
    if projections < 1:
        raise FieldError("projections", projections, "there must be at least 1")
    if not 0 <= seed < 2**32:
        raise FieldError("seed", seed, f"a seed is from 0 to {2**32 - 1}")
    directions = np.random.default_rng(seed).standard_normal((projections, real.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    of_real, of_fake, widths = _pieces(len(real), len(fake))
    total = 0.0
    for start in range(0, projections, _AT_A_TIME):
        some = directions[start : start + _AT_A_TIME].T
        x, y = (np.sort(features.astype(np.float64) @ some, axis=0) for features in (real, fake))
        total += float((widths @ np.square(x[of_real] - y[of_fake])).sum())
    return math.sqrt(total / projections)


def _pieces(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, for each interval of t in which both quantile functions are constant, the sample of each set, and the width."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # times n m, so that equal ones are equal
    return (ends - 1) // m, (ends - 1) // n, np.diff(ends, prepend=0) / (n * m)


def _sliced(real: Statistics, fake: Statistics, _: Statistics | None) -> Scores:
    return {"sliced_wasserstein": Score(sliced_wasserstein(real.features[:KEPT], fake.features[:KEPT]), None)}


SLICED_WASSERSTEIN = Metric(
    _sliced,
    of="statistics",
    name="sliced_wasserstein",
    title="sliced Wasserstein",
    better="lower",
    definition="sliced 2-Wasserstein distance, 256 directions, at most 10,000 of each",
)
