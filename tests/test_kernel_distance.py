from pathlib import Path

import numpy as np
import pytest

from jaxgan.evaluation.metrics.kernel import kernel_distance

# What torch-fidelity (float32 kernels) and clean-fid give on fixed random features.
GOLDENS = np.load(Path(__file__).parent / "goldens" / "metrics.npz", allow_pickle=False)


@pytest.mark.parametrize(
    ("name", "subsets", "size"), [("d64", 10, 100), ("d64", 1, 900), ("d64same", 10, 100), ("d64same", 1, 500)]
)
def test_equals_torch_fidelity_with_its_draws(name, subsets, size):
    found = kernel_distance(GOLDENS[f"{name}/real"], GOLDENS[f"{name}/fake"], subsets=subsets, subset_size=size)
    expected = GOLDENS[f"{name}/kid_torchfidelity_subsets{subsets}_size{size}_seed2020"]
    np.testing.assert_allclose((found.mean, found.deviation), expected, rtol=1e-4, atol=1e-12)
    assert (found.subsets, found.subset_size) == (subsets, size)


@pytest.mark.parametrize("name", ["d64", "d64same"])
def test_equals_clean_fid_with_its_draws(name):
    # It draws generated samples first, of the global state, seeded with 0.
    found = kernel_distance(GOLDENS[f"{name}/fake"], GOLDENS[f"{name}/real"], subsets=10, subset_size=100, seed=0)
    np.testing.assert_allclose(found.mean, GOLDENS[f"{name}/kid_cleanfid_subsets10_max100_npseed0"], rtol=1e-5)


def test_of_all_samples_it_does_not_depend_on_the_draw():
    real, fake = GOLDENS["d64same/real"], GOLDENS["d64same/fake"]
    found = [kernel_distance(real, fake, subsets=1, seed=seed).mean for seed in (0, 7)]
    np.testing.assert_allclose(found, GOLDENS["d64same/kid_cleanfid_full_f64"], rtol=1e-12)


def test_equals_the_definition():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(9, 4)), draw.normal(size=(9, 4)) + 1.0
    pairs = [(i, j) for i in range(9) for j in range(9)]
    within = sum((x[i] @ x[j] / 4 + 1) ** 3 + (y[i] @ y[j] / 4 + 1) ** 3 for i, j in pairs if i != j) / (9 * 8)
    across = sum((x[i] @ y[j] / 4 + 1) ** 3 for i, j in pairs) / 81
    np.testing.assert_allclose(kernel_distance(x, y, subsets=1).mean, within - 2 * across, rtol=1e-12)


def test_it_is_without_bias():
    # Two samples of one distribution: 0 within four standard errors of the mean over 200 independent pairs.
    found = []
    for seed in range(200):
        x, y = np.random.default_rng(seed).normal(size=(2, 20, 3))
        found.append(kernel_distance(x, y, subsets=1).mean)
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(200)


def test_subsets_are_as_many_as_the_smaller_set():
    draw = np.random.default_rng(1)
    found = kernel_distance(draw.normal(size=(60, 3)), draw.normal(size=(40, 3)), subsets=3, subset_size=1000)
    assert (found.subsets, found.subset_size) == (3, 40)
    assert found.deviation > 0  # which 40 of the 60 differs


@pytest.mark.parametrize(
    ("real", "fake", "options", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), {}, "real, fake: 2 and 3 features a sample, but"),
        (np.zeros((9, 2)), np.zeros((1, 2)), {}, "fake: 1 samples, but there must be at least 2"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), {}, "real: 18 of 18 features are not finite, but"),
        (np.zeros((9, 2)), np.zeros(9), {}, r"fake: shape \(9,\), but"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"subsets": 0}, "subsets: 0, but"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"subset_size": 1}, "subset_size: 1, but"),
        (np.zeros((9, 2)), np.zeros((9, 2)), {"seed": -1}, "seed: -1, but"),
    ],
)
def test_bad_input_is_one_line(real, fake, options, message):
    with pytest.raises(ValueError, match=message) as error:
        kernel_distance(real, fake, **options)
    assert "\n" not in str(error.value)
