"""Path lengths against their limit, the derivative; of a run with its definition; runs and images that have none."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan.core import latents
from jaxgan.evaluation import path_length
from jaxgan.training.train import train

EXAMPLES = Path(__file__).parent / "examples"
KEY = jax.random.key(0)


def test_a_length_is_the_squared_derivative_of_the_features() -> None:
    weights = jax.random.normal(KEY, (6, 9))
    starts, ends = latents.normal(KEY, (2, 50, 6))
    t = jax.random.uniform(KEY, (50,))

    def features(codes: jax.Array) -> jax.Array:
        return jnp.sin(codes @ weights)

    for path in (latents.slerp, latents.lerp):
        found = path_length.lengths(features, starts, ends, t, path)
        place = t * (1 - path_length.EPSILON) + path_length.EPSILON / 2
        _, slope = jax.vmap(
            lambda a, b, s, path=path: jax.jvp(lambda x: features(path(a, b, x)[None])[0], (s,), (jnp.ones(()),))
        )(starts, ends, place)
        np.testing.assert_allclose(found, jnp.square(slope).sum(axis=1), rtol=0.03)


def test_outliers_do_not_count_and_what_is_not_finite_is_told() -> None:
    plain = np.linspace(1.0, 2.0, 1_000)
    score = path_length.score(np.append(plain, [1e9] * 5))
    assert score.value == pytest.approx(1.5, abs=0.01)
    assert score.deviation == pytest.approx(plain.std() / np.sqrt(1_000), rel=0.05)
    with pytest.raises(ValueError, match="path_length: lengths that are not finite"):
        path_length.score(np.array([1.0, np.nan]))


def test_a_run_has_one_with_its_definition_and_no_floor(tiny_run: Path, tmp_path: Path) -> None:
    asked = {"n": 60, "features": "pixels", "out": tmp_path / "e.json"}
    found = jaxgan.evaluate(tiny_run, metrics=["path_length"], **asked).values["path_length"]
    assert found.mean is not None
    assert found.mean > 0
    assert (found.floors, found.better) == ((), "lower")
    content = json.loads((tmp_path / "e.json").read_text())["values"]["path_length"]
    assert (content["n"], content["space"], content["features"]["name"]) == (60, "z", "pixels")
    assert "a great circle between latents of one class" in content["definition"]
    # Beside figures of samples; of pixels in [-1, 1] halving the range of the images would quarter it.
    both = jaxgan.evaluate(tiny_run, metrics=["path_length", "kid"], **asked).values
    assert both["path_length"].mean == pytest.approx(found.mean, rel=1e-3)
    assert both["kid"].floors


def test_styles_are_joined_by_straight_lines(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "mapped.py", tmp_path)
    run = train(str(tmp_path / "mapped.py"), tmp_path / "run").path
    found = jaxgan.evaluate(run, metrics=["path_length"], n=40, features="pixels").values["path_length"]
    assert found.how["space"] == "w"
    assert "a straight line between styles" in found.how["definition"]


def test_images_have_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match=r"^metrics: path_length, but it needs a run, and .*x\.npz is none$"):
        jaxgan.evaluate(tmp_path / "x.npz", metrics=["path_length"], data="digits")
