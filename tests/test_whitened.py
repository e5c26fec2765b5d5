"""Samples of any kind as features, whitened by real ones: the default for all that is no picture in colour."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import data
from jaxgan.commands.evaluate import evaluate, table
from jaxgan.evaluation import quality, settings
from jaxgan.evaluation.features import real, whitened
from jaxgan.evaluation.features.statistics import in_batches
from jaxgan.recipes import MLP, MLPDiscriminator, Recipe
from jaxgan.system.messages import FieldError
from jaxgan.training.generate import over_devices

RNG = np.random.default_rng(0)
MIXED = (RNG.normal(size=(400, 5)) @ (np.eye(5) + 0.3 * RNG.normal(size=(5, 5)))).astype(np.float32)


def whiten(by: whitened.Whitening, x: np.ndarray) -> np.ndarray:
    return np.asarray(whitened.whiten(by, jnp.asarray(x, jnp.float32)), np.float64)


def test_real_samples_have_mean_zero_and_covariance_one_whatever_their_units():
    units = np.array([1e4, 1.0, 1e-3, 10.0, 1.0], np.float32)
    given = MIXED * units + 300.0 * units
    found = whiten(whitened.fit(given, channels=5), given)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.cov(found.T), np.eye(5), atol=0.02)
    same = whiten(whitened.fit(MIXED, channels=5), MIXED)
    np.testing.assert_allclose(np.abs(same), np.abs(found), atol=5e-2)  # other units are the same features


def test_noise_that_real_samples_do_not_have_is_seen():
    """Smooth fields of four waves, and the same with a little noise from pixel to pixel."""
    waves = np.stack([np.sin(np.pi * k * np.linspace(0, 1, 96)) for k in range(1, 5)]).astype(np.float32)
    fields = RNG.normal(size=(200, 4)).astype(np.float32) @ waves
    by = whitened.fit(fields)
    smooth, rough = (whiten(by, x) for x in (fields, fields + 0.1 * RNG.normal(size=fields.shape)))
    np.testing.assert_allclose(smooth[:, :4].std(axis=0), 1.0, atol=0.05)
    assert smooth[:, 4:].std(axis=0).max() < 0.05
    assert rough[:, 4:].std(axis=0).min() > 1.0


def test_unseen_samples_of_many_numbers_look_as_those_that_it_was_fitted_to():
    """Directions of the largest variance would not do: here each of them would be an accident of the samples."""
    fitted, unseen = RNG.normal(size=(2, 300, 800)).astype(np.float32)
    by = whitened.fit(fitted)
    assert by.directions.shape == (800, 30)
    np.testing.assert_allclose(by.directions.T @ by.directions, np.eye(30), atol=1e-5)
    seen, other = whiten(by, fitted), whiten(by, unseen)
    assert other.var() == pytest.approx(seen.var(), rel=0.15)
    np.testing.assert_array_equal(by.directions, whitened.fit(fitted).directions)


def test_few_samples_many_numbers_and_constants():
    x = RNG.normal(size=(700, 100)).astype(np.float32)
    assert [whitened.fit(each).directions.shape[1] for each in (x, x[:50], x[:3], x[:, :2])] == [64, 5, 1, 2]
    constant = np.column_stack([MIXED, np.full(400, 7.0, np.float32)])
    by = whitened.fit(constant, channels=6)
    found, other = whiten(by, constant), whiten(by, constant + np.array([0, 0, 0, 0, 0, 1.0]))
    assert np.abs(found).max() < 6 < np.abs(other - found).max()
    assert np.isfinite(whiten(whitened.fit(np.zeros((20, 3))), np.ones((2, 3)))).all()
    with pytest.raises(FieldError, match="real: 1 samples, but there must be at least 2"):
        whitened.fit(x[:1])
    assert whitened.samples_to_fit(60_000, 64) == 2_000
    assert whitened.samples_to_fit(60_000, 10**6) == 100


KINDS = {
    "table": ((60, 12), {}),
    "signals": ((60, 20, 2), {"dimensions": 1}),
    "fields": ((60, 6, 10, 1), {}),
    "volumes": ((60, 4, 4, 4, 1), {"dimensions": 3}),
    "grey": ((60, 6, 6, 1), {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_compared_by_its_own_statistics(kind):
    """Figures of real samples in place of generated ones are low, and those of others are not."""
    shape, told = KINDS[kind]
    x = RNG.integers(0, 256, shape, np.uint8) if kind == "grey" else RNG.normal(280, 3, shape).astype(np.float32)
    dataset = data.from_array(x, **told)
    asked = settings.settings(real.given(dataset), metrics=["fid", "sliced_wasserstein"], n=30)
    assert asked.features == "whitened"
    against = quality.evaluator(asked, placement=over_devices())
    floors = quality.floors(against)["real"]
    seen = np.asarray(dataset.batches(0, 60)(0)["image"][0])

    def scores(samples: np.ndarray) -> dict[str, float]:
        batches = in_batches(samples, 16, over_devices()[0])
        measured = quality.compare(against, quality.statistics(against, batches, dataset.shape))
        return {name: score.value for name, score in measured.scores.items()}

    good, bad = scores(seen[:30]), scores(0.2 * seen[:30] + 0.5)
    for name in ("fid", "sliced_wasserstein"):
        assert good[name] < 2.0 * floors[name].value + 0.05
        assert bad[name] > 2.0 * good[name]
    assert "features whitened (6, sha256" in quality.definition(against, "fid")
    assert "along 6 fixed random directions, whitened by 60 real ones" in quality.definition(against, "fid")


def test_a_run_on_a_table_says_by_what_it_was_compared(tmp_path):
    recipe = Recipe(
        generator=MLP(width=4, depth=1, latent_dim=2),
        discriminator=MLPDiscriminator(width=4, depth=1),
        batch_size=8,
        steps=2,
        log_interval=2,
        sample_interval=2,
        checkpoint_interval=2,
        eval_every=16,
        eval_n=40,
    )
    table_ = RNG.normal(5, 2, (60, 12)).astype(np.float32)
    run = jaxgan.train(recipe, tmp_path / "run", dataset=table_)
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    measured = [row for row in rows if "fid" in row]
    assert measured
    assert "features whitened (" in str(measured[0].get("definitions"))
    found = evaluate(run.path, dataset=table_, n=40)
    assert set(found.values) > {"fid", "kid", "sliced_wasserstein", "coverage"}
    assert all(each.floor is not None for each in found.values.values())
    (line,) = [line for line in table([found]).splitlines() if line.startswith("6 features whitened")]
    assert line.endswith("along 6 fixed random directions, whitened by 60 real ones")
    with pytest.raises(FieldError, match="metrics: tstr, but the samples of run have no labels of several classes"):
        evaluate(run.path, dataset=table_, n=40, metrics=["tstr"])
    with pytest.raises(FieldError, match="eval_metrics: tstr, but given has no labels of several classes"):
        jaxgan.train(dataclasses.replace(recipe, eval_metrics=("tstr",)), tmp_path / "none", dataset=table_)
    assert not (tmp_path / "none" / "checkpoints").exists()
    with pytest.raises(FieldError, match=r"weights: x\.pth, but whitened takes none"):
        evaluate(run.path, dataset=table_, n=40, features="whitened", weights="x.pth")
