"""Codes and their images agree with a sampler's own; samples as an extractor sees them, rounded or not."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan.commands.codes import Codes
from jaxgan.commands.features import as_seen, distances, extractor_for
from jaxgan.core.units import Units
from jaxgan.latent import opened


def test_samples_of_codes_are_the_samplers(tiny_run: Path) -> None:
    here = Codes(opened.read(tiny_run), seed=5)
    assert (here.space, here.layers, here.length) == ("z", 1, 8)
    given = here.given(70)
    assert given[:12].tolist() == [*range(10), 0, 1]
    made = here.samples(here.drawn(70), given)
    own = jaxgan.load_sampler(tiny_run)(70, seed=5)
    assert (made.images == own.images).mean() >= 0.999
    assert (made.labels == own.labels).all()
    assert here.given(3, [7, 2]).tolist() == [7, 2, 7]
    with pytest.raises(ValueError, match="has no mapping to styles; its space is z"):
        Codes(opened.read(tiny_run), "w+")


def test_samples_as_an_extractor_sees_them() -> None:
    x = jnp.linspace(-1.1, 1.1, 64).reshape(1, 8, 8, 1)
    rounded, plain = as_seen(x, None), as_seen(x, None, rounded=False)
    assert rounded.dtype == jnp.uint8
    assert float(jnp.abs(rounded - plain).max()) <= 0.5 + 1e-4
    assert (float(plain.min()), float(plain.max())) == (0.0, 255.0)
    kelvin = Units("float32", (270.0,), (290.0,), "K")
    np.testing.assert_allclose(as_seen(jnp.zeros((1, 4, 6, 1)), kelvin, rounded=False), 280.0)


def test_features_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.zeros((3, 8, 8, 1), np.float32)
    by = extractor_for("pixels", "digits", (8, 8, 1), None)
    found = distances(by, x, x + 0.5)
    assert found is not None
    np.testing.assert_allclose(found, 63 / 127.5 * 8, rtol=1e-5)  # of bytes: 128 and 191
    assert distances(extractor_for("none", "digits", (8, 8, 1), None), x, x) is None
    assert extractor_for(None, "table", (11,), Units("float32")) is None  # whitened features need real samples
    with pytest.raises(ValueError, match="features: 'nothing' is not one of"):
        extractor_for("nothing", "digits", (8, 8, 1), None)
