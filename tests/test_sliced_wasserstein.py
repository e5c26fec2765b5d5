"""The sliced Wasserstein distance: known values, its exactness for sets of different sizes, and its floor."""

import numpy as np
import pytest

from jaxgan.evaluation.metrics.sliced_wasserstein import sliced_wasserstein

RNG = np.random.default_rng(0)


def test_known_values():
    x = RNG.normal(size=(300, 6))
    assert sliced_wasserstein(x, x) == 0.0
    assert sliced_wasserstein(x, RNG.permutation(x)) == pytest.approx(0.0, abs=1e-12)
    shift = RNG.normal(size=6)
    # Along w a shift by s is w . s, whose mean square over the sphere is |s|^2 / D.
    many = sliced_wasserstein(x, x + shift, projections=20_000)
    assert many == pytest.approx(np.linalg.norm(shift) / np.sqrt(6), rel=0.02)
    assert sliced_wasserstein(x, x[:, :1] * 0 + x) == 0.0
    assert sliced_wasserstein(x[:, :1], 3.0 * x[:, :1]) == pytest.approx(2.0 * np.sqrt(np.square(x[:, 0]).mean()))


@pytest.mark.parametrize(("n", "m"), [(7, 7), (4, 6), (5, 3), (1, 8)])
def test_sets_of_different_sizes_are_compared_exactly(n, m):
    """As though each sample stood there so often that both sets are of one size."""
    x, y = RNG.normal(size=(n, 3)), RNG.normal(size=(m, 3))
    expected = sliced_wasserstein(np.repeat(x, m, axis=0), np.repeat(y, n, axis=0))
    assert sliced_wasserstein(x, y) == pytest.approx(expected, rel=1e-12)
    assert sliced_wasserstein(y, x) == pytest.approx(expected, rel=1e-12)


def test_a_lost_mode_is_above_the_floor():
    modes = RNG.normal(size=(10, 16)) * 3
    real, same = (modes[RNG.integers(0, 10, 500)] + RNG.normal(size=(500, 16)) for _ in range(2))
    lost = modes[RNG.integers(0, 9, 500)] + RNG.normal(size=(500, 16))
    assert sliced_wasserstein(real, lost) > 1.5 * sliced_wasserstein(real, same)
    assert sliced_wasserstein(real, lost) != sliced_wasserstein(real, lost, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projections": 0}, "projections: 0, but there must be at least 1"),
        ({"seed": -1}, "seed: -1, but a seed is from 0"),
        ({"fake": np.zeros((3, 2))}, "real, fake: 6 and 2 features a sample"),
    ],
)
def test_bad_input(options, message):
    given = {"real": np.zeros((3, 6)), "fake": np.zeros((3, 6))} | options
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein(**given)
