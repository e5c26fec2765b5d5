"""Precision and recall by nearest neighbours among features, as they were first defined."""

from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metric import KEPT, Metric, Score, Scores, Shown, Statistics
from jaxgan.evaluation.metrics.balls import radii, within
from jaxgan.evaluation.metrics.checks import checked_pair
from jaxgan.evaluation.metrics.distances import in_common_coordinates
from jaxgan.system.messages import FieldError


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]."""

    precision: float  # of generated samples inside the real manifold
    recall: float  # of real samples inside the generated manifold
    f_score: float  # their harmonic mean, 0 when both are


def precision_recall(real: np.ndarray, fake: np.ndarray, *, nearest: int = 3) -> PrecisionRecall:
    """Computes precision and recall with closed neighbourhoods; the counts are those of float64.

    With r_i the distance from real i to its `nearest`-th other real sample, s_j likewise among the generated, and d_ij the
    distance from real i to generated j:

        precision = mean_j any_i [d_ij <= r_i]          recall = mean_i any_j [d_ij <= s_j]

    `prdc` is stricter, `<`, so that copies on a ball's edge are outside, and counts more robustly.

    Args:
        real: features of real samples, `[N, D]`.
        fake: features of generated samples, `[M, D]`.
        nearest: k, the neighbour whose distance is a sample's radius; from 1 to below N and M.

    Returns:
        A `PrecisionRecall`.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or `nearest` is out of range.

    References:
        Kynkaanniemi et al. 2019, Improved Precision and Recall, equations 1 and 2, and k = 3 of section 3.
    """
    real, fake = checked_pair(real, fake)
    for name, features in (("real", real), ("fake", fake)):
        if not 1 <= nearest < len(features):
            raise FieldError("nearest", nearest, f"it must be from 1 to below the {len(features)} {name} samples")
    a, b = in_common_coordinates(real, fake)
    found = within(a, b, radii(a, nearest), radii(b, nearest), closed=True)
    precision, recall = float((found.balls_of_a > 0).mean()), float((found.balls_of_b > 0).mean())
    return PrecisionRecall(precision, recall, 2.0 * precision * recall / max(precision + recall, 1e-5))


def _improved(real: Statistics, fake: Statistics, _: Statistics | None) -> Scores:
    found = precision_recall(real.features[:KEPT], fake.features[:KEPT], nearest=3)
    return {"improved_precision": Score(found.precision, None), "improved_recall": Score(found.recall, None)}


PRECISION_RECALL = Metric(
    _improved,
    of="statistics",
    name="precision_recall",
    figures={
        "improved_precision": Shown("improved precision", "higher"),
        "improved_recall": Shown("improved recall", "higher"),
    },
    definition="improved precision and recall, 3 neighbours, at most 10,000 of each",
    least=5,
)
