from pathlib import Path

import numpy as np
import pytest

from jaxgan.evaluation.metrics import moments as module
from jaxgan.evaluation.metrics.frechet import frechet_distance
from jaxgan.evaluation.metrics.moments import Moments, covariance, merge, moments, streamed

# What the implementations that the field uses give on fixed random features.
GOLDENS = np.load(Path(__file__).parent / "goldens" / "metrics.npz", allow_pickle=False)


def of(name):
    return moments(GOLDENS[f"{name}/real"]), moments(GOLDENS[f"{name}/fake"])


def close(found: Moments, expected: Moments, rtol: float = 1e-12) -> None:
    assert found.n == expected.n
    scale = np.abs(expected.scatter).max()
    np.testing.assert_allclose(found.mean, expected.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=0, atol=rtol * scale)


@pytest.mark.parametrize(
    ("golden", "kind", "rtol"),
    [
        ("fid_pytorchfid", "sample", 1e-10),
        ("fid_cleanfid", "sample", 1e-10),
        ("fid_torchfidelity", "sample", 1e-6),  # takes the mean in float32
        ("fid_ddof0", "population", 1e-10),
    ],
)
@pytest.mark.parametrize("name", ["d64", "d64same"])
def test_equals_each_convention_of_the_field(name, golden, kind, rtol):
    found = frechet_distance(*of(name), covariance=kind)
    np.testing.assert_allclose(found, GOLDENS[f"{name}/{golden}"], rtol=rtol)


def test_moments_are_mean_and_covariance():
    x = np.random.default_rng(0).normal(3.0, 2.0, (50, 7)).astype(np.float32)
    m = moments(x)
    assert m.n == 50
    assert m.mean.dtype == m.scatter.dtype == np.float64
    np.testing.assert_allclose(m.mean, x.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(covariance(m), np.cov(x.astype(np.float64), rowvar=False), rtol=1e-11)
    np.testing.assert_allclose(covariance(m, kind="population"), np.cov(x.astype(np.float64), rowvar=False, ddof=0), rtol=1e-11)


@pytest.mark.parametrize("sizes", [[200], [1] * 200, [3, 150, 47], [128, 72]])
@pytest.mark.parametrize("rows", [1, 40, 512])
def test_streamed_in_any_blocks_is_at_once(sizes, rows, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", rows)
    x = np.random.default_rng(1).normal(5.0, 1.0, (200, 6)) * np.arange(1, 7)
    blocks = np.split(x, np.cumsum(sizes)[:-1])
    close(streamed(iter(blocks)), moments(x))


def test_merge_is_associative_and_commutative():
    draw = np.random.default_rng(2)
    a, b, c = (moments(draw.normal(shift, 1.0, (n, 5))) for shift, n in ((0.0, 1), (10.0, 30), (-4.0, 7)))
    close(merge(merge(a, b), c), merge(a, merge(b, c)))
    close(merge(a, b), merge(b, a))


def test_far_from_the_origin_nothing_cancels():
    x = np.random.default_rng(3).integers(-8, 9, (300, 4)).astype(np.float64)
    near, far = (streamed(np.array_split(x + shift, 9)) for shift in (0.0, 2.0**30))
    np.testing.assert_allclose(far.scatter, near.scatter, rtol=0, atol=1e-6 * near.scatter.max())


def test_of_gaussians_it_has_a_closed_form():
    # Diagonal covariances commute: the distance is that of the means and of the deviations.
    draw = np.random.default_rng(4)
    mean, deviation = draw.normal(size=(2, 9)), draw.uniform(0.1, 3.0, (2, 9))
    a, b = (Moments(101, m, np.diag(s**2) * 100) for m, s in zip(mean, deviation, strict=True))
    expected = np.square(mean[0] - mean[1]).sum() + np.square(deviation[0] - deviation[1]).sum()
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-12)


def test_it_is_symmetric_and_zero_between_a_set_and_itself():
    a, b = of("d64")
    np.testing.assert_allclose(frechet_distance(a, b), frechet_distance(b, a), rtol=1e-12)
    assert abs(frechet_distance(a, a)) < 1e-10 * np.trace(covariance(a))


@pytest.mark.parametrize(("n", "m"), [(20, 33), (33, 20), (2, 40), (200, 15)])
def test_with_fewer_samples_than_features_it_stays_exact(n, m):
    # The trace of the root is the sum of the singular values of one set's deviations times the other's.
    draw = np.random.default_rng(n)
    x, y = draw.normal(size=(n, 50)), 1.2 * draw.normal(size=(m, 50)) + 0.3
    dx, dy = (z - z.mean(axis=0) for z in (x, y))
    root = np.linalg.svd(dx @ dy.T, compute_uv=False).sum() / np.sqrt((n - 1) * (m - 1))
    apart = np.square(x.mean(axis=0) - y.mean(axis=0)).sum()
    expected = apart + np.square(dx).sum() / (n - 1) + np.square(dy).sum() / (m - 1) - 2.0 * root
    np.testing.assert_allclose(frechet_distance(moments(x), moments(y)), expected, rtol=1e-10)


def test_a_constant_feature_adds_nothing_but_its_difference():
    draw = np.random.default_rng(5)
    x, y = draw.normal(size=(40, 6)), draw.normal(size=(50, 6)) + 1.0
    expected = frechet_distance(moments(x), moments(y)) + 9.0
    with_constant = [np.insert(z, 2, value, axis=1) for z, value in ((x, 5.0), (y, 8.0))]
    np.testing.assert_allclose(frechet_distance(*map(moments, with_constant)), expected, rtol=1e-7)


ONE, FEW, OTHER = (Moments(n, np.zeros(d), np.eye(d)) for n, d in ((1, 3), (9, 3), (9, 4)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moments(np.zeros(9)), r"features: shape \(9,\), but"),
        (lambda: moments(np.zeros((0, 9))), "features: 0 samples, but there must be at least 1"),
        (lambda: moments(np.array([[0.0, np.nan], [np.inf, 1.0]])), "features: 2 of 4 features are not finite, but"),
        (lambda: streamed([]), "blocks: none, but"),
        (lambda: streamed([np.zeros((2, 3)), np.full((2, 3), np.inf)]), "blocks: 6 of 6 features are not finite, but"),
        (lambda: streamed([np.zeros((2, 3)), np.zeros((2, 4))]), "blocks: 3 and 4 features a sample, but"),
        (lambda: streamed([np.zeros((600, 3)), np.zeros((600, 4))]), "blocks: 3 and 4 features a sample, but"),
        (lambda: merge(FEW, OTHER), "a, b: 3 and 4 features a sample, but"),
        (lambda: covariance(ONE), "m: moments of 1 sample, but a covariance needs at least 2"),
        (lambda: covariance(FEW, kind="biased"), "kind: 'biased', but it must be 'sample' or 'population'"),
        (lambda: frechet_distance(FEW, OTHER), "real, fake: 3 and 4 features a sample, but"),
        (lambda: frechet_distance(ONE, FEW), "real: moments of 1 sample, but"),
        (lambda: frechet_distance(FEW, ONE), "fake: moments of 1 sample, but"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
