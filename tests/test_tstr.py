"""Accuracy on real samples of a classifier that was trained on generated ones."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxgan import data
from jaxgan.commands.evaluate import evaluate
from jaxgan.evaluation import quality, settings
from jaxgan.evaluation.features import real
from jaxgan.evaluation.metrics.tstr import train_on_synthetic
from jaxgan.system.messages import FieldError
from jaxgan.training.generate import over_devices

RNG = np.random.default_rng(0)
DIGITS = load_digits()
X, Y = DIGITS.data.astype(np.float32), DIGITS.target.astype(np.int32)


def test_generators_that_fail_in_different_ways():
    test = X[1000:], Y[1000:]
    good = train_on_synthetic(X[:1000], Y[:1000], *test)
    assert good > 0.85  # 0.90 by logistic regression, of writers that it has not seen
    ignored = train_on_synthetic(X[:1000], RNG.permutation(Y[:1000]), *test)
    assert ignored < 0.3
    one_each = np.concatenate([np.repeat(X[:1000][Y[:1000] == c][:1], 100, axis=0) for c in range(10)])
    collapsed = train_on_synthetic(one_each, np.repeat(np.arange(10, dtype=np.int32), 100), *test)
    assert ignored < collapsed < good - 0.1
    few = Y[:1000] < 5
    assert train_on_synthetic(X[:1000][few], Y[:1000][few], *test) <= (Y[1000:] < 5).mean()


def test_the_fit_is_the_minimum():
    """Two classes in one dimension: the weights' gradient is zero, and the border lies half-way."""
    x = np.concatenate([RNG.normal(-1, 1, 500), RNG.normal(1, 1, 500)])[:, None]
    y = np.repeat([3, 8], 500)
    line = np.linspace(-2, 2, 4001)[:, None]
    border = train_on_synthetic(x, y, line, np.where(line[:, 0] < 0, 3, 8))
    assert border > 0.97
    assert train_on_synthetic(1e6 * x + 5e6, y, 1e6 * line + 5e6, np.where(line[:, 0] < 0, 3, 8)) == pytest.approx(
        border, abs=2e-3
    )


def test_its_floors_are_of_real_samples_and_never_of_the_test_s_own():
    dataset = data.from_array(X[:1000].reshape(-1, 8, 8, 1) / 16.0, Y[:1000])
    unseen = data.from_array(X[1000:].reshape(-1, 8, 8, 1) / 16.0, Y[1000:])
    asked = settings.settings(real.given(dataset, held_out=unseen), metrics=["tstr"], features="samples", n=400)
    floors = quality.floors(quality.evaluator(asked, placement=over_devices()))
    assert 0.8 < floors["real"]["tstr"].value < 0.97
    assert 0.8 < floors["held_out"]["tstr"].value < 0.97  # 1 where it were tested on what it was trained on


def test_samples_of_any_program_bring_their_labels(tmp_path):
    np.savez(tmp_path / "real.npz", images=X[:800, None].reshape(-1, 8, 8, 1), labels=Y[:800])
    np.savez(tmp_path / "made.npz", images=X[800:1600].reshape(-1, 8, 8, 1), labels=Y[800:1600])
    np.savez(tmp_path / "bare.npz", images=X[800:1600].reshape(-1, 8, 8, 1))
    options = {"data": f"npz:{tmp_path / 'real.npz'}", "metrics": ["tstr"]}
    found = evaluate(tmp_path / "made.npz", **options).values["tstr"]
    assert found.mean > 0.8
    assert found.floor > 0.8
    with pytest.raises(FieldError, match=r"metrics: tstr, but the samples of bare\.npz have no labels of several classes"):
        evaluate(tmp_path / "bare.npz", **options)
    with pytest.raises(FieldError, match=r"metrics: tstr, but npz:.* has no labels of several classes"):
        evaluate(tmp_path / "made.npz", **options | {"data": f"npz:{tmp_path / 'bare.npz'}"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fake_labels": np.zeros(4, np.int32)}, "tstr: generated samples without labels of several classes"),
        ({"fake_labels": np.zeros(3, np.int32)}, r"fake_labels: shape \(3,\), but they must be integers of shape \[4\]"),
        ({"real_labels": np.zeros(5)}, "real_labels: .* must be integers"),
        ({"fake": np.full((4, 2), np.nan)}, "fake: 8 of 8 features are not finite"),
    ],
)
def test_bad_input(changes, message):
    given = {"fake": np.ones((4, 2)), "fake_labels": np.arange(4), "real": np.ones((5, 2)), "real_labels": np.arange(5)}
    with pytest.raises(ValueError, match=message):
        train_on_synthetic(**given | changes)
