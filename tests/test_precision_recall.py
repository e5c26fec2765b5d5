from pathlib import Path

import numpy as np
import pytest

from jaxgan.evaluation.metrics.prdc import prdc
from jaxgan.evaluation.metrics.precision_recall import precision_recall

# What torch-fidelity gives on fixed random features; it reports float32.
GOLDENS = np.load(Path(__file__).parent / "goldens" / "metrics.npz", allow_pickle=False)


@pytest.mark.parametrize("name", ["d64", "d64same"])
def test_equals_torch_fidelity(name):
    real, fake = GOLDENS[f"{name}/real"], GOLDENS[f"{name}/fake"]
    found, expected = precision_recall(real, fake), GOLDENS[f"{name}/prc_torchfidelity_k3_gen_real"]
    counts = found.precision * len(fake), found.recall * len(real)
    np.testing.assert_array_equal(np.round(counts), np.round(expected[:2] * [len(fake), len(real)]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_equals_the_definition_with_ties():
    # Whole numbers: most distances are met more than once, and equal ones are inside.
    draw = np.random.default_rng(0)
    real, fake, k = draw.integers(0, 4, (40, 3)), draw.integers(1, 6, (30, 3)), 3
    between = np.square(real[:, None] - fake[None]).sum(axis=2)
    r = np.sort(np.square(real[:, None] - real[None]).sum(axis=2), axis=1)[:, k]
    s = np.sort(np.square(fake[:, None] - fake[None]).sum(axis=2), axis=1)[:, k]
    precision, recall = (between <= r[:, None]).any(0).mean(), (between <= s).any(1).mean()
    found = precision_recall(real, fake, nearest=k)
    assert (found.precision, found.recall) == (precision, recall)
    assert found.f_score == pytest.approx(2 * precision * recall / (precision + recall), rel=1e-12)
    assert (between < r[:, None]).any(0).mean() < precision  # so that this test tells the one from the other


def test_on_the_edge_is_inside_here_and_outside_there():
    # On a line, each radius is 2 and each generated sample lies 2 from two real ones.
    real = 2.0 * np.arange(8)[:, None]
    fake = np.array([[-2.0], [16.0]])
    assert precision_recall(real, np.repeat(fake, 2, axis=0), nearest=1).precision == 1.0
    assert prdc(real, np.repeat(fake, 2, axis=0), nearest=1).precision == 0.0


def test_strangers_score_nothing():
    real = np.random.default_rng(1).normal(size=(20, 3))
    assert precision_recall(real, real + 1e3) == (0.0, 0.0, 0.0)
    assert precision_recall(real, real.copy()) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("real", "fake", "nearest", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), 3, "real, fake: 2 and 3 features a sample, but"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), 3, "real: 18 of 18 features are not finite, but"),
        (np.zeros((9, 2)), np.zeros((3, 2)), 3, "nearest: 3, but it must be from 1 to below the 3 fake samples"),
        (np.zeros((9, 2)), np.zeros((9, 2)), 0, "nearest: 0, but"),
    ],
)
def test_bad_input_is_one_line(real, fake, nearest, message):
    with pytest.raises(ValueError, match=message) as error:
        precision_recall(real, fake, nearest=nearest)
    assert "\n" not in str(error.value)
