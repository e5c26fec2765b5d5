"""Metrics and features of a user's own, and data of any shape: what the library's own go through, theirs go through."""

import json
import logging
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import data, toy
from jaxgan.commands import evaluate
from jaxgan.evaluation import features, metrics, quality, settings, verdict, watching
from jaxgan.evaluation.features import real
from jaxgan.evaluation.features.functions import of_function
from jaxgan.evaluation.features.statistics import in_batches
from jaxgan.evaluation.metric import Metric, Score, Shown, Statistics, measure
from jaxgan.evaluation.metrics.frechet import frechet_distance
from jaxgan.evaluation.metrics.moments import moments
from jaxgan.evaluation.quality import Evaluator
from jaxgan.system.messages import FieldError
from jaxgan.training.generate import over_devices

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (80, 4, 4, 1), np.uint8)
POINTS = RNG.normal(size=(60, 3)).astype(np.float32)
FAKE = (0.5 * RNG.normal(size=(40, 3))).astype(np.float32)
WEIGHTS = RNG.normal(size=(16, 5)).astype(np.float32)
SPREAD = Metric(lambda r, f: f.std() / r.std(), better="as real", definition="ratio of deviations", of="samples", name="spread")


def own_features(images: jax.Array) -> jax.Array:
    return images.reshape(len(images), -1) @ WEIGHTS


def of(x: np.ndarray) -> Statistics:
    return Statistics(len(x), moments(x), x, None, np.zeros(len(x), np.int32), x)


def evaluator(real_: real.Real, **asked: object) -> Evaluator:
    return quality.evaluator(settings.settings(real_, **asked), placement=over_devices())


def scores(against: Evaluator, fake: np.ndarray) -> dict[str, float]:
    batches = in_batches(fake, 16, over_devices()[0])
    found = quality.compare(against, quality.statistics(against, batches, fake.shape[1:]))
    assert not found.problems
    return {name: score.value for name, score in found.scores.items()}


def test_every_name_is_a_record_and_others_are_refused() -> None:
    for name in metrics.NAMES:
        found = metrics.find(name)
        assert isinstance(found, jaxgan.Metric)
        assert found.name == name
    assert metrics.find(SPREAD) is SPREAD
    assert metrics.find(Metric(np.std)).name == "std"
    with pytest.raises(FieldError, match=r"metrics: 'pdrc' is not one of fid, .*; did you mean 'prdc'"):
        metrics.find("pdrc")
    with pytest.raises(FieldError, match=r"each must be a name or a jaxgan\.Metric"):
        metrics.find(3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"better": "larger"}, "better: 'larger' is not one of lower, higher, as real"),
        ({"of": "images"}, "of: 'images' is not one of samples, features, statistics"),
        ({"keep": -1}, "keep: -1, but it must be at least 0"),
        ({"figures": {"a": ("A", "up")}}, r"figures\.a: 'up' is not one of lower, higher, as real"),
    ],
)
def test_a_record_that_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        Metric(lambda real, fake: 0.0, **fields)
    with pytest.raises(FieldError, match="function: 3, but it must be a function"):
        Metric(3)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (0.5, {"m": 0.5}),
        (jnp.float32(0.5), {"m": 0.5}),
        (np.array(2), {"m": 2.0}),
        (Score(1.0, 0.1), {"m": 1.0}),
        ({"a": 1.0, "b": np.float32(2.0)}, {"a": 1.0, "m_b": 2.0}),
        (math.nan, {"m": "m: nan, but a figure must be a finite number"}),
        ({"a": jnp.inf}, {"a": "a: inf, but a figure must be a finite number"}),
        (np.zeros(3), {"m": r"m: an array of shape (3,), but a metric returns a number"}),
        ("much", {"m": "m: str 'much', but a metric returns a number"}),
        (None, {"m": "m: NoneType None, but a metric returns a number"}),
    ],
)
def test_what_a_metric_may_return(returned: object, expected: dict) -> None:
    several = {"figures": {"a": Shown("A", "lower")}} if isinstance(returned, dict) else {}
    found = measure(Metric(lambda real, fake: returned, name="m", **several), of(POINTS), of(FAKE), None)
    assert list(found.scores) == list(expected)
    for (name, value), problem in zip(expected.items(), found.problems or [None] * len(expected), strict=True):
        if isinstance(value, str):
            assert not math.isfinite(found.scores[name].value)
            assert value in str(problem)
        else:
            assert found.scores[name].value == value


def test_an_error_of_a_metric_is_one_line_with_its_place() -> None:
    def broken(real: np.ndarray, fake: np.ndarray) -> float:
        return real @ fake

    for level in ("features", "samples"):
        with pytest.raises(FieldError, match=r"^m: ValueError: matmul.* \(test_metrics.py, line \d+\), but a metric"):
            measure(Metric(broken, name="m", of=level), of(POINTS), of(FAKE), None)


def test_figures_of_one_name_are_refused() -> None:
    with pytest.raises(FieldError, match="metrics: 'spread', but two metrics have a figure of that name"):
        settings.settings(real.given(data.from_array(IMAGES)), metrics=[SPREAD, Metric(np.dot, name="spread")])


def test_points_are_compared_as_they_are() -> None:
    against = evaluator(real.given(data.from_array(POINTS)), features="samples", n=40)
    found = scores(against, FAKE)
    names = {figure for name in settings.usual("samples") for figure in metrics.find(name).shown}
    assert set(found) == names - {"vendi_within"}  # points have no classes
    assert found["fid"] == pytest.approx(frechet_distance(moments(POINTS), moments(FAKE)), rel=1e-5)
    assert "40 generated against 60 samples of array/train; features samples (3" in quality.definition(against, "fid")
    with pytest.raises(FieldError, match=r"features: samples, but samples of shape \(2,\) cannot be compared with"):
        scores(against, FAKE[:, :2])
    with pytest.raises(FieldError, match=r"features: inception, but samples of shape \(3,\) are no images"):
        evaluator(real.given(data.from_array(POINTS)), features="inception")
    with pytest.raises(FieldError, match="n: 61, but it must be from 7 to 60, the samples that array/train holds"):
        evaluator(real.given(data.from_array(POINTS)), n=61)


def test_a_density_is_drawn_to_compare_with() -> None:
    ring = toy.dataset(toy.ring(), name="ring")
    against = evaluator(real.named(ring, "ring"), metrics=["fid", "kid", SPREAD], features="samples", n=300)
    assert (against.reference.whole.n, against.reference.held_out.n) == (300, 300)
    assert [len(x.samples) for x in (against.reference.whole, against.reference.held_out)] == [300, 300]
    np.testing.assert_array_equal(against.reference.held_out.samples, against.reference.held_out.features)
    floors = quality.floors(against)
    assert floors["held_out"]["fid"].value < 0.05
    assert floors["held_out"]["spread"].value == pytest.approx(1.0, abs=0.05)
    assert settings.settings(real.named(ring, "ring")).n == 10_000


def test_own_metrics_see_samples_as_the_data_have_them() -> None:
    """Metrics of samples alone need no features: no network is loaded for them."""
    seen = {}

    def look(real: np.ndarray, fake: np.ndarray) -> float:
        seen.update(real=real, fake=fake)
        return 0.0

    held_out = data.from_array(IMAGES[:20])
    given = real.given(data.from_array(IMAGES), held_out=held_out)
    against = evaluator(given, metrics=[Metric(look, of="samples", name="look", keep=30)], n=50)
    assert against.extractor.name == "none"
    fake = RNG.uniform(-1.2, 1.2, (50, 4, 4, 1)).astype(np.float32)
    assert scores(against, fake) == {"look": 0.0}
    assert seen["real"].shape == seen["fake"].shape == (30, 4, 4, 1)
    levels = {x.tobytes() for x in (IMAGES.astype(np.float32) - 127.5) * np.float32(1 / 127.5)}
    assert all(x.tobytes() in levels for x in seen["real"])
    np.testing.assert_allclose(seen["fake"], np.clip(fake[:30], -1, 1), atol=1 / 255)  # as a file holds them
    assert quality.definition(against, "look") == "look; 30 generated against 30 images of array/train"
    quality.floors(against)
    assert len(seen["fake"]) == 20


def test_own_features_are_an_extractor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path))
    np.savez(tmp_path / "mine.npz", images=IMAGES)
    name = f"npz:{tmp_path / 'mine.npz'}"
    wide = Metric(lambda r, f: {"width": r.shape[1], "n": len(f)}, name="wide")
    given = real.named(data.load(name), name)
    against = evaluator(given, metrics=["fid", wide], features=own_features, n=40)
    found = scores(against, IMAGES[:40])
    x = (IMAGES.reshape(80, -1) / 127.5 - 1) @ WEIGHTS
    assert found["fid"] == pytest.approx(frechet_distance(moments(x), moments(x[:40])), rel=1e-4)
    assert (found["wide_width"], found["wide_n"]) == (5.0, 40.0)
    assert "features own_features (5, sha256" in quality.definition(against, "wide_n")
    (kept,) = (tmp_path / "statistics").glob("*.safetensors")
    assert "own_features" in kept.name
    with pytest.raises(FieldError, match="metrics: is, but own_features has no classes"):
        evaluator(given, metrics=["is"], features=own_features, n=40)


def test_other_weights_are_other_features() -> None:
    def with_weights(w: np.ndarray) -> str:
        weights = jnp.asarray(w)
        inner = jax.jit(lambda x: x.reshape(len(x), -1) @ weights)
        return of_function(lambda x: inner(x), (4, 4, 1), checksum="0123").digest

    assert with_weights(WEIGHTS) == with_weights(WEIGHTS.copy()) != with_weights(2 * WEIGHTS)
    extractor = of_function(own_features, (4, 4, 1), checksum="0123")
    assert (extractor.name, extractor.checksum, extractor.size) == ("own_features", "0123", 5)
    assert of_function(own_features, (4, 4, 1)).checksum == extractor.digest


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, r"features features: shape \(2, 4, 4, 1\) for samples \(2, 4, 4, 1\), but it must be \[B, F\]"),
        (lambda x: x.mean(), r"shape \(\) for samples"),
        (lambda x: (x, x), "tuple for samples"),
        (lambda x: np.asarray(x).mean(), r"TracerArrayConversionError: .* \(test_metrics.py, line"),
    ],
)
def test_features_of_another_shape_are_refused_before_anything_is_measured(function: object, message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        evaluator(real.given(data.from_array(IMAGES)), features=function)
    assert "\n" not in str(caught.value)


def test_while_training_nothing_ends_the_run(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def odd(real: np.ndarray, fake: np.ndarray) -> float:
        calls.append(len(fake))
        if fake.mean() > 50:
            raise TypeError("no")
        return math.nan if fake.mean() > 5 else 1.0

    asked = [Metric(odd, name="odd"), "fid", SPREAD]
    against = evaluator(real.given(data.from_array(POINTS)), metrics=asked, features="samples", n=40)
    assert list(watching.targets(against)) == ["spread"]
    watch = watching.watcher(against)

    def row(fake: np.ndarray) -> dict[str, float]:
        return watch(in_batches(fake, 16, over_devices()[0]), (3,))

    with caplog.at_level(logging.WARNING, "jaxgan"):
        assert row(FAKE)["odd"] == 1.0
        assert not caplog.messages
        for shift in (10.0, 20.0, 100.0):
            found = row(FAKE + shift)
            assert math.isnan(found["odd"])
            assert found["fid"] > 0
    assert caplog.messages == ["odd: nan, but a figure must be a finite number"]  # once
    with caplog.at_level(logging.WARNING, "jaxgan"):
        broken = row(np.full_like(FAKE, np.nan))
    assert all(math.isnan(broken[name]) for name in ("odd", "fid", "spread"))
    assert "hold values that are not finite" in caplog.messages[-1]


def test_a_metric_that_fails_on_real_samples_is_refused_before_training() -> None:
    for function, message in ((lambda r, f: math.inf, "bad: inf"), (lambda r, f: r @ f, "bad: ValueError")):
        against = evaluator(real.given(data.from_array(POINTS)), metrics=[Metric(function, name="bad")], n=20)
        with pytest.raises(FieldError, match=message):
            watching.targets(against)


def test_the_direction_of_a_figure() -> None:
    assert settings.better_of("spread", [SPREAD]) == "as real"
    assert settings.better_of("coverage") == "higher"
    assert settings.better_of("nearest_real") == "lower"
    assert settings.better_of("inception_score") == "higher"
    with pytest.raises(FieldError, match=r"figure: 'fdi' is not one of .*spread"):
        settings.better_of("fdi", [SPREAD])
    against = evaluator(real.given(data.from_array(POINTS)), metrics=["diversity", SPREAD], n=30)
    assert set(watching.targets(against, "vendi")) == {"vendi", "spread"}
    target = watching.targets(against)["spread"]
    rows = [{"step": 1, "spread": 3.0 * target}, {"step": 2, "spread": 1.1 * target}, {"step": 3, "spread": 0.1 * target}]
    assert verdict.best(rows, "spread", ("as real", target)) == 2


def test_a_run_measured_by_ones_own(tiny_run: Path, tmp_path: Path) -> None:
    lost = jaxgan.Metric(lambda real, fake: math.nan, better="lower", definition="always lost", name="lost")
    result = jaxgan.evaluate(
        tiny_run, metrics=(SPREAD, lost, "fid"), features=features.extractor("pixels", (8, 8, 1)), n=60, out=tmp_path / "e.json"
    )
    assert list(result.values) == ["spread", "lost", "fid"]
    spread = result.values["spread"]
    assert spread.floor == pytest.approx(1.0, abs=0.1)
    assert (spread.better, spread.title) == ("as real", "spread")
    assert result.values["lost"].mean is None
    assert "lost: nan, but a figure must be a finite number" in result.warnings
    table = evaluate.table([result])
    assert [line.split()[1] for line in table.splitlines() if line.startswith("lost ")] == ["-"]
    content = json.loads(result.file.read_text())["values"]
    assert content["lost"]["members"] == [None]
    assert content["spread"]["definition"] == "ratio of deviations; 60 generated against 1,797 images of digits/train"
