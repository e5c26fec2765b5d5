import math

import numpy as np
import pytest

from jaxgan.evaluation.metrics.modes import mode_coverage, mode_coverage_floor

# How often each digit comes in MNIST's training set.
MNIST = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000
STACKED = np.einsum("i,j,k->ijk", MNIST, MNIST, MNIST).ravel()


def test_equals_the_definition():
    found = mode_coverage(np.array([0, 0, 0, 2, 2, 3, 3, 3]), 5, weights=np.array([0.4, 0.1, 0.2, 0.2, 0.1]))
    expected = 3 / 8 * math.log(3 / 8 / 0.4) + 2 / 8 * math.log(2 / 8 / 0.2) + 3 / 8 * math.log(3 / 8 / 0.2)
    assert found.modes == 3
    assert found.n == 8
    assert found.reverse_kl == pytest.approx(expected, abs=1e-12)


def test_the_truth_scores_nothing_and_a_single_mode_log_m():
    assert mode_coverage(np.arange(20) % 10, 10) == (10.0, pytest.approx(0.0, abs=1e-12), 20)
    assert mode_coverage(np.full(50, 7, np.int32), 10) == (1.0, pytest.approx(math.log(10)), 50)


def test_a_mode_that_should_not_be_is_infinitely_far():
    assert mode_coverage(np.array([0, 1, 1]), 2, weights=np.array([1.0, 0.0])) == (2.0, math.inf, 3)
    assert mode_coverage(np.array([0, 0, 0]), 2, weights=np.array([1.0, 0.0])) == (1.0, 0.0, 3)
    floor = mode_coverage_floor(2, 20, weights=np.array([1.0, 0.0]), drawn=np.array([0.5, 0.5]), seeds=3)
    assert floor.mean.reverse_kl == math.inf
    assert math.isnan(floor.deviation.reverse_kl)


def test_the_floor_of_stacked_mnist_is_the_known_one():
    # 0.0193 +- 0.0009 and 0.0237 +- 0.0011 for a single sampling; the mean of 50 is within four of its standard errors.
    even = mode_coverage_floor(1000, seeds=50)
    assert even.mean.n == 26_000
    assert even.mean.modes == 1000
    assert even.mean.reverse_kl == pytest.approx(0.0193, abs=4 * 0.0009 / math.sqrt(50) + 0.00005)
    assert even.deviation.reverse_kl == pytest.approx(0.0009, rel=0.4)
    assert even.standard_error.reverse_kl == pytest.approx(even.deviation.reverse_kl / math.sqrt(50))
    uneven = mode_coverage_floor(1000, drawn=STACKED, seeds=50)
    assert uneven.mean.reverse_kl == pytest.approx(0.0237, abs=4 * 0.0011 / math.sqrt(50) + 0.00005)
    # Against its own frequencies the same sampler is at the floor of equal modes, nearly.
    assert mode_coverage_floor(1000, weights=STACKED, seeds=50).mean.reverse_kl == pytest.approx(0.0193, abs=0.0006)


def test_the_floor_is_what_a_sampler_scores():
    weights = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
    rng = np.random.default_rng(123)
    scores = [mode_coverage(rng.choice(5, 40, p=weights), 5, weights=weights)[:2] for _ in range(400)]
    floor = mode_coverage_floor(5, 40, weights=weights, seeds=400)
    # Two means of 400: within four standard errors of their difference.
    error = math.sqrt(2) * np.array(floor.standard_error[:2])
    assert (np.abs(np.mean(scores, axis=0) - floor.mean[:2]) < 4 * error).all()
    assert 0 < floor.mean.modes < 5  # the rare mode is missed at times, by a perfect sampler too


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.zeros(9, int), 10), {}, "n: 9, but 10 modes need at least as many samples"),
        ((np.array([0, 1, 5, 2]), 4), {}, "assigned: modes from 0 to 5, but they must be from 0 to 3"),
        ((np.array([0, -1, 2, 2]), 4), {}, "assigned: modes from -1 to 2, but they must be from 0 to 3"),
        ((np.zeros(9), 4), {}, r"assigned: float64 of shape \(9,\), but it must be integers"),
        ((np.zeros((9, 1), int), 4), {}, r"assigned: int64 of shape \(9, 1\), but it must be integers of shape \[n\]"),
        ((np.zeros(9, int), 0), {}, "modes: 0, but there must be at least 1"),
        ((np.zeros(9, int), 2), {"weights": np.array([0.5, 0.4])}, "weights: their sum is 0.9"),
        ((np.zeros(9, int), 2), {"weights": np.array([1.5, -0.5])}, "weights: their sum is 1, but they must not be negative"),
        ((np.zeros(9, int), 2), {"weights": np.array([np.nan, 1.0])}, "weights: their sum is nan"),
        ((np.zeros(9, int), 2), {"weights": np.ones(1)}, r"weights: shape \(1,\), but there are 2 modes"),
    ],
)
def test_bad_input_is_one_line(arguments, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        mode_coverage(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_a_floor_needs_two_seeds_enough_samples_and_a_distribution():
    with pytest.raises(ValueError, match="seeds: 1, but a standard error needs at least 2"):
        mode_coverage_floor(10, 100, seeds=1)
    with pytest.raises(ValueError, match="n: 9, but 10 modes need at least as many samples"):
        mode_coverage_floor(10, 9)
    with pytest.raises(ValueError, match="drawn: their sum is 2"):
        mode_coverage_floor(2, 9, drawn=np.array([1.0, 1.0]))
