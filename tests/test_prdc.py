from pathlib import Path

import numpy as np
import pytest

from jaxgan.evaluation.metrics import distances
from jaxgan.evaluation.metrics.prdc import prdc

# What the metric's authors' implementation gives on fixed random features.
GOLDENS = np.load(Path(__file__).parent / "goldens" / "metrics.npz", allow_pickle=False)


@pytest.mark.parametrize("nearest", [3, 5])
@pytest.mark.parametrize("name", ["d64", "d64same"])
def test_equals_the_reference_implementation(name, nearest):
    found = prdc(GOLDENS[f"{name}/real"], GOLDENS[f"{name}/fake"], nearest=nearest)
    np.testing.assert_allclose(found, GOLDENS[f"{name}/prdc_k{nearest}"], rtol=1e-12)


def by_definition(real, fake, k):
    """Every distance in float64 by subtraction."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    between, within_real, within_fake = (
        np.square(a[:, None] - b[None]).sum(axis=2) for a, b in ((real, fake), (real, real), (fake, fake))
    )
    r, s = (np.sort(within, axis=1)[:, k] for within in (within_real, within_fake))  # column 0 is the sample itself
    inside = between < r[:, None]
    return inside.any(0).mean(), (between < s).any(1).mean(), inside.sum() / (k * len(fake)), inside.any(1).mean()


@pytest.mark.parametrize("rows", [16, 128])
def test_blocks_do_not_change_the_result(rows, monkeypatch):
    real, fake = GOLDENS["d64/real"][:500], GOLDENS["d64/fake"][:450]
    whole = prdc(real, fake)
    monkeypatch.setattr(distances, "ROWS", rows)
    assert prdc(real, fake) == whole


def copies(draw):
    """Each generated sample is a real one: each distance to a neighbour is met again, exactly."""
    real = draw.normal(size=(300, 40)).astype(np.float32)
    return real, real[draw.integers(0, 300, 250)]


def one_picture(draw):
    real = draw.normal(size=(300, 40)).astype(np.float32)
    return real, np.repeat(real[:1], 250, axis=0)


def few_pictures_with_noise(draw):
    real = draw.normal(size=(300, 40))
    return real, real[draw.integers(0, 5, 250)] + 1e-7 * draw.normal(size=(250, 40))


def clusters_far_apart(draw):
    centres = 1e5 * draw.normal(size=(4, 40))
    return tuple((centres[draw.integers(0, 4, n)] + 0.01 * draw.normal(size=(n, 40))).astype(np.float32) for n in (300, 250))


def far_from_the_origin(draw):
    return tuple((1e4 + draw.normal(size=(n, 40))).astype(np.float32) for n in (300, 250))


def whole_numbers(draw):
    return tuple(draw.integers(0, 3, (n, 6)).astype(np.float32) for n in (300, 250))


def on_one_sphere(draw):
    """All at the same distance but for rounding."""
    return tuple(1000.0 * np.eye(310)[draw.permutation(310)[:n]] + 1e-9 * draw.normal(size=(n, 310)) for n in (300, 250))


@pytest.mark.parametrize("rows", [64, 1024])
@pytest.mark.parametrize(
    "kind",
    [copies, one_picture, few_pictures_with_noise, clusters_far_apart, far_from_the_origin, whole_numbers, on_one_sphere],
)
def test_counts_are_those_of_float64(kind, rows, monkeypatch):
    monkeypatch.setattr(distances, "ROWS", rows)
    real, fake = kind(np.random.default_rng(3))
    assert prdc(real, fake) == by_definition(real, fake, 5)


def test_equals_the_definition():
    draw = np.random.default_rng(0)
    real, fake = draw.normal(size=(40, 3)), 0.7 * draw.normal(size=(30, 3)) + 0.4
    np.testing.assert_allclose(prdc(real, fake, nearest=4), by_definition(real, fake, 4), rtol=1e-12)


def test_a_copy_scores_one_and_a_stranger_zero():
    real = np.random.default_rng(1).integers(-50, 50, (60, 5)).astype(np.float64)
    real -= real.mean(0).round()
    assert prdc(real, real.copy())[:2] == (1.0, 1.0)
    assert prdc(real, real.copy()).coverage == 1.0
    assert prdc(real, real + 1e4) == (0.0, 0.0, 0.0, 0.0)


def test_a_collapsed_generator_is_precise_and_covers_little():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(300, 4))
    found = prdc(real, real[:1] + 1e-3 * rng.normal(size=(300, 4)))
    assert found.precision == 1.0
    assert found.recall < 0.02
    assert found.coverage < 0.2


@pytest.mark.parametrize(
    ("real", "fake", "nearest", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), 5, "real, fake: 2 and 3 features a sample, but"),
        (np.zeros(9), np.zeros((9, 1)), 5, r"real: shape \(9,\), but"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), 5, "real: 18 of 18 features are not finite"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), 5, "fake: 18 of 18 features are not finite"),
        (np.zeros((5, 2)), np.zeros((9, 2)), 5, "nearest: 5, but it must be from 1 to below the 5 real samples"),
        (np.zeros((9, 2)), np.zeros((4, 2)), 5, "nearest: 5, but it must be from 1 to below the 4 fake samples"),
        (np.zeros((9, 2)), np.zeros((9, 2)), 0, "nearest: 0, but"),
    ],
)
def test_bad_input_is_one_line(real, fake, nearest, message):
    with pytest.raises(ValueError, match=message) as error:
        prdc(real, fake, nearest=nearest)
    assert "\n" not in str(error.value)
