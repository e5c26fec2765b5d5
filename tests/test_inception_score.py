from pathlib import Path

import numpy as np
import pytest

from jaxgan.evaluation.metrics.inception_score import inception_score

# What torch-fidelity gives on fixed random logits.
GOLDENS = np.load(Path(__file__).parent / "goldens" / "metrics.npz", allow_pickle=False)


@pytest.mark.parametrize("splits", [1, 10])
@pytest.mark.parametrize("shuffled", [0, 1])
def test_equals_torch_fidelity(shuffled, splits):
    # 205 samples in 10 splits: 20 or 21 each.
    found = inception_score(GOLDENS["is/logits"], splits=splits, seed=2020 if shuffled else None)
    np.testing.assert_allclose(found, GOLDENS[f"is/torchfidelity_shuffle{shuffled}_splits{splits}"], rtol=1e-6, atol=1e-12)


def test_equals_the_definition():
    logits = np.random.default_rng(0).normal(size=(30, 5)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = []
    for part in np.split(p, 3):
        marginal = part.mean(axis=0)
        scores.append(np.exp(np.mean([sum(row * np.log(row / marginal)) for row in part])))
    np.testing.assert_allclose(inception_score(logits, splits=3, seed=None), (np.mean(scores), np.std(scores)), rtol=1e-12)


def test_it_is_from_one_to_the_number_of_classes():
    certain = 1000.0 * np.eye(7)[np.arange(70) % 7]
    np.testing.assert_allclose(inception_score(certain, splits=10, seed=None), (7.0, 0.0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(inception_score(certain[::7], splits=2), (1.0, 0.0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(inception_score(np.zeros((70, 7))), (1.0, 0.0), rtol=1e-12, atol=1e-12)


def test_logits_may_be_large_and_moved():
    logits = np.random.default_rng(1).normal(size=(40, 6))
    np.testing.assert_allclose(inception_score(logits + 1e4), inception_score(logits), rtol=1e-9)


@pytest.mark.parametrize(
    ("logits", "options", "message"),
    [
        (np.zeros(9), {}, r"logits: shape \(9,\), but"),
        (np.full((9, 2), np.nan), {}, "logits: 18 of 18 features are not finite, but"),
        (np.zeros((9, 2)), {"splits": 10}, "splits: 10, but it must be from 1 to the 9 samples"),
        (np.zeros((9, 2)), {"splits": 0}, "splits: 0, but"),
        (np.zeros((9, 2)), {"splits": 3, "seed": 2**32}, "seed: 4294967296, but"),
    ],
)
def test_bad_input_is_one_line(logits, options, message):
    with pytest.raises(ValueError, match=message) as error:
        inception_score(logits, **options)
    assert "\n" not in str(error.value)
