"""Residuals of inversions: errors as PSNR, and how well they separate anomalies, as ROC AUC."""

import math

import numpy as np
from numpy.typing import ArrayLike

from jaxgan.system.messages import FieldError


def psnr(rmse: float) -> float:
    """Returns the peak signal-to-noise ratio in decibels, `-20 log10(rmse)`; infinite where nothing differs.

    Args:
        rmse: root mean square of the differences, as a share of the range of the data.
    """
    return math.inf if rmse <= 0.0 else -20.0 * math.log10(rmse)


def roc_auc(scores: ArrayLike, anomalous: ArrayLike) -> float:
    """Returns the area under the ROC curve: the chance that an anomalous sample scores higher than a normal one, ties half.

    Args:
        scores: `[N]`, higher for what is less normal.
        anomalous: `[N]` of truth values, some of each.

    Returns:
        From 0 to 1; 0.5 for scores that do not separate the two kinds.

    Raises:
        FieldError: when shapes differ, a score is NaN, or all samples are of one kind.

    References:
        Hanley and McNeil 1982, The meaning and use of the area under a ROC curve.
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(anomalous, bool)
    if values.ndim != 1 or values.shape != positive.shape:
        raise FieldError("scores", f"of shape {values.shape} for {positive.shape}", "one score for each sample, [N]")
    if np.isnan(values).any():
        raise FieldError("scores", "NaN among them", "each must be a number")
    if positive.all() or not positive.any():
        raise FieldError("anomalous", f"{positive.sum()} of {len(positive)}", "there must be samples of both kinds")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]  # the mean rank of those that tie
    many, others = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - many * (many + 1) / 2.0) / (many * others))
