"""The kernel distance between real and generated features: on Inception's, the KID."""

from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metric import KEPT, Metric, Score, Scores, Statistics
from jaxgan.evaluation.metrics.checks import checked_pair
from jaxgan.system.messages import FieldError


class KernelDistance(NamedTuple):
    """Squared maximum mean discrepancy over random subsets."""

    mean: float  # without bias: about 0 for two samples of one distribution, and negative half of the time
    deviation: float  # over the subsets, ddof 0; they overlap, so that this over sqrt(subsets) is no standard error
    subsets: int
    subset_size: int  # what was used: at most as many samples as the smaller set has


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> KernelDistance:
    """Computes the squared maximum mean discrepancy with the cubic kernel `k(x, y) = (x . y / D + 1)^3`, in float64.

    Of each subset of m real samples x and m generated samples y:

        [sum_{i != j} k(x_i, x_j) + sum_{i != j} k(y_i, y_j)] / (m (m - 1)) - 2 sum_ij k(x_i, y_j) / m^2

    This is the estimator of torch-fidelity, clean-fid and the StyleGAN family alike; what differs is which subsets are
    drawn. Here a `RandomState(seed)` draws m of the first argument and then m of the second, for one subset after
    another, as torch-fidelity does with its inputs 1 and 2, whose seed is 2020. clean-fid does the same with numpy's
    global state, generated samples first. The distance is symmetric: where generated samples come first, swap the two.

    Args:
        real: `[N, D]`, at least 2 samples.
        fake: `[M, D]`, at least 2 samples.
        subsets: how many.
        subset_size: m, from 2; where N or M is smaller, that many, and the result says so.
        seed: of the subsets, 0 to 2^32 - 1.

    Returns:
        A `KernelDistance`.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or an option is out of range.

    References:
        Bińkowski et al. 2018, Demystifying MMD GANs, section 4; Gretton et al. 2012, A Kernel
        Two-Sample Test, equation 3.
    """
    real, fake = checked_pair(real, fake, least=2)
    if subsets < 1:
        raise FieldError("subsets", subsets, "there must be at least 1")
    if subset_size < 2:
        raise FieldError("subset_size", subset_size, "it must be at least 2")
    if not 0 <= seed < 2**32:
        raise FieldError("seed", seed, f"a seed is from 0 to {2**32 - 1}")
    size = min(subset_size, len(real), len(fake))
    draw = np.random.RandomState(seed)
    found = np.empty(subsets)
    for index in range(subsets):
        x = real[draw.choice(len(real), size, replace=False)]
        y = fake[draw.choice(len(fake), size, replace=False)]
        found[index] = _discrepancy(x.astype(np.float64), y.astype(np.float64))
    return KernelDistance(float(found.mean()), float(found.std()), subsets, size)


def _discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """Computes the discrepancy of one subset, both `[m, D]` float64."""
    m = len(x)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (_kernel(x, x), _kernel(y, y)))
    return float(within / (m * (m - 1)) - 2.0 * _kernel(x, y).sum() / m**2)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    return base * base * base  # `** 3` calls pow for each of a million entries


def _kid(real: Statistics, fake: Statistics, _: Statistics | None) -> Scores:
    found = kernel_distance(real.features[:KEPT], fake.features[:KEPT])
    return {"kid": Score(found.mean, found.deviation)}


KID = Metric(
    _kid,
    of="statistics",
    name="kid",
    title="KID",
    better="lower",
    definition="squared MMD, cubic kernel, without bias, mean of 100 subsets of at most 1,000",
)
