"""Precision, recall, density and coverage: fidelity and variety apart, by nearest neighbours among features."""

from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metric import KEPT, Metric, Score, Scores, Shown, Statistics
from jaxgan.evaluation.metrics.balls import radii, within
from jaxgan.evaluation.metrics.checks import checked_pair
from jaxgan.evaluation.metrics.distances import in_common_coordinates
from jaxgan.system.messages import FieldError


class PrecisionRecallDensityCoverage(NamedTuple):
    """Shares in [0, 1], but `density`, which may exceed 1."""

    precision: float  # of generated samples inside the real manifold
    recall: float  # of real samples inside the generated manifold
    density: float  # real neighbourhoods a generated sample lies in, over `nearest`
    coverage: float  # of real samples with a generated one in their neighbourhood


def prdc(real: np.ndarray, fake: np.ndarray, *, nearest: int = 5) -> PrecisionRecallDensityCoverage:
    """Computes precision, recall, density and coverage of generated against real features; the counts are those of float64.

    With r_i the distance from real i to its `nearest`-th other real sample, s_j likewise among the generated, and d_ij the
    distance from real i to generated j:

        precision = mean_j any_i [d_ij < r_i]          density  = mean_j sum_i [d_ij < r_i] / nearest
        recall    = mean_i any_j [d_ij < s_j]          coverage = mean_i any_j [d_ij < r_i]

    Args:
        real: features of real samples, `[N, D]`.
        fake: features of generated samples, `[M, D]`.
        nearest: k, the neighbour whose distance is a sample's radius; 5 in the field, from 1 to below N and M.

    Returns:
        A `PrecisionRecallDensityCoverage`.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or `nearest` is out of range.

    References:
        Kynkaanniemi et al. 2019, Improved Precision and Recall, equations 1 and 2; Naeem et al. 2020, Reliable
        Fidelity and Diversity Metrics (density, coverage, and the strict inequality).
    """
    real, fake = checked_pair(real, fake)
    for name, features in (("real", real), ("fake", fake)):
        if not 1 <= nearest < len(features):
            raise FieldError("nearest", nearest, f"it must be from 1 to below the {len(features)} {name} samples")
    a, b = in_common_coordinates(real, fake)
    found = within(a, b, radii(a, nearest), radii(b, nearest), closed=False)
    return PrecisionRecallDensityCoverage(
        precision=float((found.balls_of_a > 0).mean()),
        recall=float((found.balls_of_b > 0).mean()),
        density=float(found.balls_of_a.sum() / (nearest * len(fake))),
        coverage=float((found.b_around_a > 0).mean()),
    )


def _prdc(real: Statistics, fake: Statistics, _: Statistics | None) -> Scores:
    found = prdc(real.features[:KEPT], fake.features[:KEPT], nearest=5)
    return {name: Score(value, None) for name, value in found._asdict().items()}


PRDC = Metric(
    _prdc,
    of="statistics",
    name="prdc",
    figures={name: Shown(name, "higher") for name in PrecisionRecallDensityCoverage._fields},
    definition="precision, recall, density and coverage, 5 neighbours, at most 10,000 of each",
    least=7,
)
