"""Memorisation of training data: distances of generated samples to them, beside those of unseen real samples."""

import math
from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metric import ALL, Metric, Score, Scores, Shown, Statistics
from jaxgan.evaluation.metrics import neighbours
from jaxgan.evaluation.metrics.checks import checked, checked_pair
from jaxgan.evaluation.metrics.distances import in_common_coordinates

QUANTILE = 0.01  # of the distances of unseen samples: nearer than that counts as a copy


class Nearest(NamedTuple):
    """The nearest reference sample of each."""

    distances: np.ndarray  # [N] float64, Euclidean
    indices: np.ndarray  # [N] int64


class Memorisation(NamedTuple):
    """The nearness of m generated samples to training samples; the figures of a perfect sampler are in brackets."""

    copied: float  # share nearer to a training sample than all but 1 % of unseen samples are (0.01)
    ratio: float  # median distance to the nearest training sample, over that of unseen samples (1)
    three_sample: float  # z-score of those distances, below 0 when they are smaller than unseen ones' (0 +- 1)
    authenticity: float  # share farther from its nearest training sample than that is from its own (`authenticity_unseen`)
    authenticity_unseen: float  # the same share of unseen samples
    nearest: Nearest  # the nearest training sample of each generated one, [M]


def nearest(query: np.ndarray, reference: np.ndarray | None = None) -> Nearest:
    """The nearest reference sample of each query sample by Euclidean distance, exactly as float64 finds it.

        index_i = argmin_j |q_i - r_j|

    Args:
        query: q, features `[N, D]`.
        reference: r, features `[M, D]`; when None, the query itself, of which each sample finds its nearest other one.

    Returns:
        A `Nearest`. Of samples equally near the first counts.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or there is no other sample.
    """
    if reference is None:
        (only,) = in_common_coordinates(checked("query", query, least=2))
        found = neighbours.nearest(only, only, 1)
    else:
        a, b = in_common_coordinates(*checked_pair(query, reference, names=("query", "reference")))
        found = neighbours.nearest(a, b, 1)
    return Nearest(np.sqrt(found.squared[:, 0]), found.indices[:, 0])


def memorisation(train: np.ndarray, fake: np.ndarray, held_out: np.ndarray | None = None) -> Memorisation:
    """Compares distances from generated to training samples with those from unseen samples to training samples.

    With t(x) the distance from x to its nearest training sample, and h unseen samples of the data:

        copied       = mean_j [t(fake_j) <= q], q the 1 % quantile of t(h)
        ratio        = median_j t(fake_j) / median_i t(h_i)
        three_sample = (U - m n / 2) / sqrt(m n (m + n + 1) / 12), U = sum_ij [t(fake_j) > t(h_i)], ties one half
        authenticity = mean_j [t(fake_j) > distance from that training sample to its nearest other one]

    A generator that reproduces its training set has copied 1, a ratio of 0 and an authenticity of 0. A poor one is far
    from all data: a ratio well above 1 and an authenticity near 1 say nothing good. Authenticity has no floor that holds
    everywhere: it is 1/3 on a line and 0.38 in the plane for a perfect sampler, and 0.7 uniformly in 64 dimensions, where
    a few central samples are nearest to most others. So that of unseen samples is beside it.

    Args:
        train: features of the training samples, `[N, D]`, at least 3.
        fake: features of generated samples, `[M, D]`.
        held_out: features of unseen samples, `[n, D]`, a hundred or more; when None, each training sample stands in for
            one, seen from all others. Near-duplicates within the training set then hide copies, and `three_sample`
            spreads more widely than 1, since two such distances may be the same.

    Returns:
        A `Memorisation`; `ratio` is inf, or NaN when both medians are 0, where half of the unseen samples are in `train`.

    Raises:
        ValueError: when the shapes do not fit or a feature is not finite.

    References:
        Meehan et al. 2020, A Non-Parametric Test to Detect Data-Copying in Generative Models, section 3 (here over the
        whole space rather than a mean over cells of it); Alaa et al. 2022, How Faithful is your Synthetic Data?,
        section 2 (authenticity).
    """
    train, fake = checked_pair(train, fake, names=("train", "fake"))
    checked("train", train, least=3)
    if held_out is not None:
        _, held_out = checked_pair(train, held_out, names=("train", "held_out"))
    near = nearest(fake, train)
    if held_out is None:
        (points,) = in_common_coordinates(train)
        others = neighbours.nearest(points, points, 2)
        spacing, other = np.sqrt(others.squared), others.indices[:, 0]
        unseen, fake_spacing = spacing[:, 0], spacing[near.indices, 0]
        # To the others, the sample itself is unseen: where it is the nearest of its nearest, the next one is.
        unseen_spacing = np.where(others.indices[other, 0] == np.arange(len(train)), spacing[other, 1], spacing[other, 0])
    else:
        unseen, other = nearest(held_out, train)
        fake_spacing, unseen_spacing = np.split(_spacing(train, np.concatenate([near.indices, other])), [len(fake)])
    median, usual = float(np.median(near.distances)), float(np.median(unseen))
    return Memorisation(
        copied=float((near.distances <= np.quantile(unseen, QUANTILE)).mean()),
        ratio=median / usual if usual > 0 else math.inf if median > 0 else math.nan,
        three_sample=_rank_sum(near.distances, unseen),
        authenticity=float((near.distances > fake_spacing).mean()),
        authenticity_unseen=float((unseen > unseen_spacing).mean()),
        nearest=near,
    )


def _spacing(train: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The distance from some training samples to their nearest other ones, `[len(indices)]`."""
    wanted, position = np.unique(indices, return_inverse=True)
    # The nearest of a training sample is itself or its twin, at 0; the second is the nearest other one.
    a, b = in_common_coordinates(train[wanted], train)
    return np.sqrt(neighbours.nearest(a, b, 2).squared[position, 1])


def _rank_sum(x: np.ndarray, y: np.ndarray) -> float:
    """The z-score of Mann and Whitney's U: how much more often x exceeds y than the reverse."""
    ordered, m, n = np.sort(y), len(x), len(y)
    exceeds = np.searchsorted(ordered, x, side="left").sum() + np.searchsorted(ordered, x, side="right").sum()
    return float((exceeds / 2 - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12))


def _copying(real: Statistics, fake: Statistics, held_out: Statistics | None) -> Scores:
    found = memorisation(real.features, fake.features, None if held_out is None else held_out.features)
    return {
        "copied": Score(found.copied, None),
        "nearest_ratio": Score(found.ratio, None),
        "authenticity": Score(found.authenticity, None),
    }


MEMORISATION = Metric(
    _copying,
    of="statistics",
    name="memorisation",
    figures={
        "copied": Shown("share nearer to real than 1 % of unseen", "as real"),
        "nearest_ratio": Shown("distance to nearest real over unseen's", "as real"),
        "authenticity": Shown("authenticity", "as real"),
    },
    definition="nearest real images of generated ones beside those of unseen ones, all of them",
    keep=ALL,
)
