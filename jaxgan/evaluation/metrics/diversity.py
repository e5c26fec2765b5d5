"""Diversity of samples, without reference to real ones: the effective number of different samples among them."""

from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metric import KEPT, Metric, Score, Scores, Shown, Statistics
from jaxgan.evaluation.metrics.checks import checked
from jaxgan.system.messages import FieldError


class Diversity(NamedTuple):
    """Vendi score and spread, which grow with variety; a perfect sampler reaches those of as many real samples."""

    vendi: float  # effective number of different samples, from 1 to n
    spread: float  # root mean square distance between two samples, in units of the features


def vendi_score(features: np.ndarray) -> float:
    """The Vendi score with the cosine kernel: `exp(-sum_i l_i log l_i)`, l the eigenvalues of `K / n`, in float64.

    With `K_ij = x_i . x_j / (|x_i| |x_j|)`. n copies of one sample score 1, n orthogonal ones n. The eigenvalues that
    are not zero are those of the D x D matrix as well, so that samples may be many. The score grows with n.

    Args:
        features: x, `[n, D]`; no row may be all zeros, since it has no direction.

    Returns:
        The score, from 1 to min(n, D).

    Raises:
        ValueError: when the shape does not fit, a feature is not finite, or a row is zero.

    References:
        Friedman and Dieng 2023, The Vendi Score, definition 3.1.
    """
    x = checked("features", features).astype(np.float64)
    largest = np.abs(x).max(axis=1, keepdims=True)
    if not largest.all():
        raise FieldError("features", f"{np.sum(largest == 0)} of {len(x)} rows are zero", "a cosine needs a direction")
    x /= largest  # no square over- or underflows
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    gram = x.T @ x if x.shape[1] < len(x) else x @ x.T
    share = np.clip(np.linalg.eigvalsh(gram / len(x)), 0.0, None)
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def diversity(features: np.ndarray, labels: np.ndarray | None = None) -> Diversity:
    """The Vendi score and the spread of samples; with labels the mean over classes of each within a class.

    Within classes is where a conditional GAN collapses: each class may show one picture while all together look varied.

        spread = sqrt(mean_{i != j} |x_i - x_j|^2) = sqrt(2 sum_i |x_i - mean|^2 / (n - 1))

    Args:
        features: x, `[n, D]`, of each class at least 2.
        labels: of the samples, `[n]` integers, or None.

    Returns:
        A `Diversity`. A mean over classes compares only with one over as many samples of each class.

    Raises:
        ValueError: as `vendi_score`, and when the labels do not fit or a class has fewer than 2 samples.

    References:
        Friedman and Dieng 2023, The Vendi Score; Odena et al. 2017, Conditional Image Synthesis with Auxiliary
        Classifier GANs, section 4 (variety within a class).
    """
    x = checked("features", features, least=2)
    if labels is None:
        return Diversity(vendi_score(x), _spread(x))
    labels = np.asarray(labels)
    if labels.shape != (len(x),) or not np.issubdtype(labels.dtype, np.integer):
        raise FieldError("labels", f"{labels.dtype} of shape {labels.shape}", f"they must be integers of shape [{len(x)}]")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise FieldError("labels", f"{counts.min()} sample of class {classes[counts.argmin()]}", "there must be at least 2")
    each = [x[labels == one] for one in classes]
    return Diversity(*(float(np.mean([figure(part) for part in each])) for figure in (vendi_score, _spread)))


def _spread(x: np.ndarray) -> float:
    deviation = x.astype(np.float64)
    deviation -= deviation.mean(axis=0)
    return float(np.sqrt(2.0 * np.square(deviation).sum() / (len(x) - 1)))


def _vendi(_: Statistics, fake: Statistics, __: Statistics | None) -> Scores:
    few, labels = fake.features[:KEPT], fake.labels[:KEPT]
    found = {"vendi": Score(diversity(few).vendi, None)}
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) > 1 and counts.min() > 1:
        found["vendi_within"] = Score(diversity(few, labels).vendi, None)
    return found


DIVERSITY = Metric(
    _vendi,
    of="statistics",
    name="diversity",
    figures={
        "vendi": Shown("Vendi score", "as real"),
        "vendi_within": Shown("Vendi score within a class", "as real"),
    },
    definition="Vendi score, cosine kernel, at most 10,000",
)
