from pathlib import Path

import numpy as np
import pytest

from jaxgan.metrics import prdc as module
from jaxgan.metrics.prdc import prdc

# What the metric's authors' implementation gives on fixed random features.
GOLDENS = np.load(Path(__file__).parent / "goldens" / "metrics_prdc.npz", allow_pickle=False)


@pytest.mark.parametrize("nearest", [3, 5])
@pytest.mark.parametrize("name", ["d64", "d64same"])
def test_equals_the_reference_implementation(name, nearest):
    found = prdc(GOLDENS[f"{name}/real"], GOLDENS[f"{name}/fake"], nearest=nearest)
    np.testing.assert_allclose(found, GOLDENS[f"{name}/prdc_k{nearest}"], rtol=1e-12)


def test_blocks_do_not_change_the_result(monkeypatch):
    real, fake = GOLDENS["d64/real"], GOLDENS["d64/fake"]
    whole = prdc(real, fake)
    monkeypatch.setattr(module, "BLOCK", 7_300)  # seven rows at a time, and a rest
    assert prdc(real, fake) == whole


def test_equals_the_definition():
    rng = np.random.default_rng(0)
    real, fake, k = rng.normal(size=(40, 3)), 0.7 * rng.normal(size=(30, 3)) + 0.4, 4
    between = np.linalg.norm(real[:, None] - fake[None], axis=2)
    r = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)[:, k]  # column 0 is the sample itself
    s = np.sort(np.linalg.norm(fake[:, None] - fake[None], axis=2), axis=1)[:, k]
    inside = between < r[:, None]
    expected = (inside.any(0).mean(), (between < s).any(1).mean(), inside.sum(0).mean() / k, inside.any(1).mean())
    np.testing.assert_allclose(prdc(real, fake, nearest=k), expected, rtol=1e-12)


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
        (np.zeros((9, 2)), np.zeros((9, 3)), 5, r"real, fake: shapes \(9, 2\) and \(9, 3\)"),
        (np.zeros(9), np.zeros((9, 1)), 5, r"real, fake: shapes \(9,\)"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), 5, "real: 18 features are not finite"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), 5, "fake: 18 features are not finite"),
        (np.zeros((5, 2)), np.zeros((9, 2)), 5, "nearest: 5, but it must be from 1 to below the 5 real samples"),
        (np.zeros((9, 2)), np.zeros((4, 2)), 5, "nearest: 5, but it must be from 1 to below the 4 fake samples"),
        (np.zeros((9, 2)), np.zeros((9, 2)), 0, "nearest: 0, but"),
    ],
)
def test_bad_input_is_one_line(real, fake, nearest, message):
    with pytest.raises(ValueError, match=message) as error:
        prdc(real, fake, nearest=nearest)
    assert "\n" not in str(error.value)
