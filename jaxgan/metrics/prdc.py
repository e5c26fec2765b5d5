"""Precision, recall, density and coverage: fidelity and variety apart, by nearest neighbours among features."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BLOCK = 2**22  # distances held at once, 32 MiB


class PRDC(NamedTuple):
    """Shares in [0, 1], but `density`, which may exceed 1."""

    precision: float  # of generated samples inside the real manifold
    recall: float  # of real samples inside the generated manifold
    density: float  # real neighbourhoods a generated sample lies in, over `nearest`
    coverage: float  # of real samples with a generated one in their neighbourhood


def prdc(real: np.ndarray, fake: np.ndarray, *, nearest: int = 5) -> PRDC:
    """Precision, recall, density and coverage of generated against real features, in float64.

    With r_i the distance from real i to its `nearest`-th other real sample, s_j likewise among the generated, and d_ij the
    distance from real i to generated j:

        precision = mean_j any_i [d_ij < r_i]          density  = mean_j sum_i [d_ij < r_i] / nearest
        recall    = mean_i any_j [d_ij < s_j]          coverage = mean_i any_j [d_ij < r_i]

    Args:
        real: features of real samples, `[N, D]`.
        fake: features of generated samples, `[M, D]`.
        nearest: k, the neighbour whose distance is a sample's radius; 5 in the field, from 1 to below N and M.

    Returns:
        A `PRDC`.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or `nearest` is out of range.

    References:
        Kynkaanniemi et al. 2019, Improved Precision and Recall, equations 1 and 2; Naeem et al. 2020, Reliable
        Fidelity and Diversity Metrics (density, coverage, and the strict inequality).
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"real, fake: shapes {real.shape} and {fake.shape}, but they must be [N, D] and [M, D]")
    for name, features in (("real", real), ("fake", fake)):
        if not np.isfinite(features).all():
            raise ValueError(f"{name}: {np.count_nonzero(~np.isfinite(features))} features are not finite")
        if not 1 <= nearest < len(features):
            raise ValueError(f"nearest: {nearest}, but it must be from 1 to below the {len(features)} {name} samples")
    origin = real.mean(axis=0)  # the nearer to zero, the less cancels in x^2 + y^2 - 2 x y
    real, fake = real - origin, fake - origin
    real_radius, fake_radius = _radii(real, nearest), _radii(fake, nearest)

    inside, neighbourhoods = 0, 0
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, distance in _blocks(fake, real):
        near = distance < real_radius
        inside += near.any(axis=1).sum()
        neighbourhoods += near.sum()
        covered |= near.any(axis=0)
        recalled |= (distance < fake_radius[rows, None]).any(axis=0)
    count = len(fake)
    return PRDC(float(inside / count), float(recalled.mean()), float(neighbourhoods / (nearest * count)), float(covered.mean()))


def _radii(x: np.ndarray, nearest: int) -> np.ndarray:
    """Squared distance of each sample to its `nearest`-th other one, `[N]`."""
    radius = np.empty(len(x))
    for rows, distance in _blocks(x, x):
        distance[np.arange(len(distance)), np.arange(len(x))[rows]] = np.inf
        radius[rows] = np.partition(distance, nearest - 1, axis=1)[:, nearest - 1]
    return radius


def _blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances `[rows, len(b)]`, as many rows of a at a time as memory allows."""
    rows = max(1, BLOCK // len(b))
    b_squared = np.square(b).sum(axis=1)
    for start in range(0, len(a), rows):
        block = slice(start, start + rows)
        squared = np.square(a[block]).sum(axis=1)[:, None] + b_squared - 2.0 * (a[block] @ b.T)
        yield block, np.maximum(squared, 0.0, out=squared)
