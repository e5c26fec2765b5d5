"""The Inception score of generated samples: high where a classifier is certain of each and finds every class."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from jaxgan.evaluation.metric import ALL, Metric, Score, Scores, Shown, Statistics
from jaxgan.evaluation.metrics.checks import checked
from jaxgan.system.messages import FieldError


class InceptionScore(NamedTuple):
    """A score from 1 to the number of classes."""

    mean: float  # over the splits
    deviation: float  # over the splits, ddof 0


def inception_score(logits: np.ndarray, *, splits: int = 10, seed: int | None = 2020) -> InceptionScore:
    """`exp mean_i sum_c p_ic log (p_ic / mean_i p_ic)` of each split of the samples, in float64; p is softmax(logits).

    The score sees no real sample, and says nothing of variety within a class. With few samples it is biased downwards:
    50,000 are usual.

    Args:
        logits: of a classifier, `[N, C]`; of the Inception network that FID uses, those without the last bias.
        splits: how many parts of equal size, to within one sample, 1 to N.
        seed: of the permutation before the samples are split, as torch-fidelity, whose seed is 2020; None leaves them in
            their order, as the StyleGAN family.

    Returns:
        An `InceptionScore`.

    Raises:
        ValueError: when the shape does not fit, a logit is not finite, or an option is out of range.

    References:
        Salimans et al. 2016, Improved Techniques for Training GANs, section 4; Barratt and Sharma 2018, A Note on the
        Inception Score.
    """
    logits = checked("logits", logits).astype(np.float64)
    if not 1 <= splits <= len(logits):
        raise FieldError("splits", splits, f"it must be from 1 to the {len(logits)} samples")
    if seed is not None:
        if not 0 <= seed < 2**32:
            raise FieldError("seed", seed, f"a seed is from 0 to {2**32 - 1}, or None")
        logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    edges = [index * len(log_p) // splits for index in range(splits + 1)]
    scores = np.array([_score(log_p[start:stop]) for start, stop in pairwise(edges)])
    return InceptionScore(float(scores.mean()), float(scores.std()))


def _score(log_p: np.ndarray) -> float:
    """Computes the score of one split, `[n, C]`."""
    p = np.exp(log_p)
    marginal = p.mean(axis=0)
    # A class whose every p is too small for float64 is 0 log 0, which is 0.
    log_marginal = np.log(marginal, out=np.zeros_like(marginal), where=marginal > 0)
    return float(np.exp(np.mean(np.sum(p * (log_p - log_marginal), axis=1))))


def _of_logits(_: Statistics, fake: Statistics, __: Statistics | None) -> Scores:
    assert fake.logits is not None
    found = inception_score(fake.logits)
    return {"inception_score": Score(found.mean, found.deviation)}


INCEPTION_SCORE = Metric(
    _of_logits,
    of="statistics",
    name="is",
    figures={"inception_score": Shown("Inception score", "higher")},
    definition="Inception score, mean of 10 splits",
    keep=ALL,
    least=10,
    needs=("logits",),
)
