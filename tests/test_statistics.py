"""Statistics of streams of images, and those of real images that are kept."""

import logging
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import data
from jaxgan.evaluation import features
from jaxgan.evaluation.features import references as module
from jaxgan.evaluation.features import statistics
from jaxgan.evaluation.features.real import held_out_split, named
from jaxgan.evaluation.features.references import picked, reference
from jaxgan.evaluation.features.statistics import features_of, gather, in_batches, joined
from jaxgan.evaluation.metrics.moments import moments
from jaxgan.training.generate import over_devices

IMAGES = np.random.default_rng(0).integers(0, 256, (101, 4, 4, 1), np.uint8)
PIXELS = features.extractor("pixels", (4, 4, 1))
EXPECTED = IMAGES.reshape(101, -1) / 127.5 - 1


def same(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("rows", [1, 7, 2_000])
@pytest.mark.parametrize("bounds", [[101], [30, 101], [1, 2, 60]])
def test_parts_of_a_stream_are_those_of_the_images(rows, bounds, monkeypatch):
    monkeypatch.setattr(statistics, "_ROWS", rows)
    placement = over_devices()
    ticks: list[int] = []
    stream = features_of(PIXELS, placement=placement)(in_batches(IMAGES, 8, placement[0]))
    parts = gather(stream, bounds, keep=20, tick=ticks.append)
    assert sum(ticks) == bounds[-1]
    for part, start, end in zip(parts, [0, *bounds], bounds, strict=False):
        x = EXPECTED[start:end]
        assert (part.n, part.features.shape, part.labels.shape) == (len(x), (min(20, len(x)), 16), (len(x),))
        same(part.moments, moments(x), rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(part.features, x[:20], atol=1e-6)


def test_features_that_are_not_kept_do_not_stay_in_memory():
    """40 MB of features pass; what is held at most are a few pieces of 2,000 rows, 2 MB each."""

    def stream():
        for _ in range(40):
            yield statistics.Rows(np.ones((1_000, 256), np.float32), None, np.zeros(1_000, np.int32))

    tracemalloc.start()
    gather(stream(), [40_000], keep=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24e6


def test_two_sets_together_are_one():
    placement = over_devices()
    stream = features_of(PIXELS, placement=placement)
    whole, (first, second) = (
        gather(stream(in_batches(IMAGES, 8, placement[0])), bounds, keep=40) for bounds in ([101], [30, 101])
    )
    together = joined(first, second, keep=40)
    assert together.n == 101
    same(together.moments, whole[0].moments, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(together.features, whole[0].features)


def test_images_that_are_not_finite_have_no_score():
    broken = jnp.asarray(EXPECTED.reshape(101, 4, 4, 1)[:8], jnp.float32).at[3, 0, 0, 0].set(jnp.nan).at[5].set(jnp.inf)
    stream = features_of(PIXELS)([(broken, np.zeros(8, np.int32), 8)])
    with pytest.raises(ValueError, match="images: 2 of a batch of 8 hold values that are not finite"):
        gather(stream, [8], keep=0)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where statistics are kept, empty."""
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path))
    return tmp_path / "statistics"


@pytest.fixture
def digits(kept):
    return data.load("digits"), features.extractor("pixels", (8, 8, 1))


def made(digits, **options):
    dataset, extractor = digits
    return reference(named(dataset, "digits"), extractor, placement=over_devices(), **({"n": 300, "keep": 50} | options))


def test_real_images_are_halved_kept_and_read_again(digits, kept, monkeypatch):
    found = made(digits)
    images, labels, _ = data.arrays("digits")
    x = images.reshape(1797, -1) / 127.5 - 1
    same(found.whole.moments, moments(x), rtol=1e-5, atol=1e-3)
    assert (found.part.n, found.rest.n, found.whole.n, found.held_out) == (300, 1497, 1797, None)
    assert np.bincount(found.whole.labels).tolist() == np.bincount(labels).tolist()
    shown = (picked(digits[0], np.arange(5)).reshape(5, -1), found.part.features[:5])
    np.testing.assert_allclose(*shown, atol=1e-6)  # positions are positions
    assert len(list(kept.glob("*.safetensors"))) == 1

    def never(*_, **__):
        raise AssertionError("computed anew")

    monkeypatch.setattr(module, "features_of", never)
    same(made(digits), found, rtol=0)
    for other in ({"n": 301}, {"keep": 51}):
        with pytest.raises(AssertionError, match="computed anew"):
            made(digits, **other)


def test_a_damaged_file_is_computed_anew(digits, kept, caplog):
    found = made(digits)
    (path,) = kept.glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with caplog.at_level(logging.WARNING, "jaxgan"):
        same(made(digits), found, rtol=0)
    assert "its sha256 must be" in caplog.text
    assert caplog.text.count("it is computed anew") == 1
    assert path.read_bytes() == whole


def test_another_state_of_the_data_is_not_taken_for_this_one(kept, tmp_path):
    path = tmp_path / "mine.npz"

    def mean() -> float:
        dataset = data.load(f"npz:{path}")
        found = reference(named(dataset, f"npz:{path}"), PIXELS, n=10, keep=0, placement=over_devices())
        return float(found.whole.moments.mean.mean())

    np.savez(path, images=IMAGES)
    first = mean()
    np.savez(path, images=255 - IMAGES[:100])
    assert mean() == pytest.approx(-float(EXPECTED[:100].mean()), abs=1e-6)
    assert mean() != pytest.approx(first, abs=1e-3)


def test_a_held_out_split_is_found_where_there_is_one(monkeypatch):
    assert held_out_split("digits", split="train") is None
    asked = []

    def load(name, *, split, **_):
        asked.append(split)
        if split == "test":
            raise ValueError("split: there is none")

    monkeypatch.setattr(data, "load", load)
    assert held_out_split("other", split="train") == "validation"
    assert asked == ["test", "validation"]
    asked.clear()
    assert held_out_split("other", split="validation") is None
    assert asked == ["test"]


def test_more_images_than_there_are_cannot_be_compared(digits):
    with pytest.raises(ValueError, match="n: 1798, but it must be from 2 to the 1797 images of digits/train"):
        made(digits, n=1798)
