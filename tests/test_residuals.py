"""Decibels and the area under a ROC curve, against their definitions."""

import math

import numpy as np
import pytest

from jaxgan.latent.residuals import psnr, roc_auc
from jaxgan.system.messages import FieldError


def test_decibels() -> None:
    assert psnr(0.1) == pytest.approx(20.0)
    assert psnr(1.0) == 0.0
    assert psnr(0.0) == math.inf


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=60), 1)  # with ties
    anomalous = rng.random(60) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[anomalous] for b in scores[~anomalous]]
    assert roc_auc(scores, anomalous) == pytest.approx(np.mean(pairs))
    assert roc_auc([1, 2, 3, 4], [0, 0, 1, 1]) == 1.0
    assert roc_auc([4, 3, 2, 1], [0, 0, 1, 1]) == 0.0
    assert roc_auc([1, 1, 1], [0, 1, 0]) == 0.5
    from sklearn.metrics import roc_auc_score

    assert roc_auc(scores, anomalous) == pytest.approx(roc_auc_score(anomalous, scores))


@pytest.mark.parametrize(
    ("scores", "anomalous", "told"),
    [
        ([1.0, 2.0], [1, 1], "anomalous: 2 of 2, but there must be samples of both kinds"),
        ([1.0, math.nan], [0, 1], "scores: NaN among them, but each must be a number"),
        ([1.0, 2.0], [0], "one score for each sample"),
    ],
)
def test_mistakes(scores: list[float], anomalous: list[int], told: str) -> None:
    with pytest.raises(FieldError) as error:
        roc_auc(scores, anomalous)
    assert told in str(error.value)
