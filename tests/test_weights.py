"""Weights in a file: others can read them, they come back as they were, and what does not fit is named."""

import dataclasses
import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from jaxgan import recipes
from jaxgan.core.types import GANState, Weights
from jaxgan.recipes import DCGAN, Data, DCGANDiscriminator, Recipe
from jaxgan.training import tensors as weights
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import build

SHAPE = Shape((8, 8, 1), 10)
RECIPE = recipes.check(
    Recipe(
        data=Data("digits", conditional=True),
        generator=DCGAN(width=8, norm="batch", latent_dim=4),
        discriminator=DCGANDiscriminator(width=8, norm="spectral"),
    )
)


@pytest.fixture(scope="module")
def state() -> GANState:
    """Of the networks' shapes, drawn rather than compiled."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: np.asarray(rng.normal(size=x.shape)).astype(x.dtype), build(RECIPE, shape=SHAPE).abstract)


def save(path: Path, state: GANState, **changed: Any) -> Path:
    d = Weights(state.d.params, state.d.stats)
    given = {"generator": state.ema, "discriminator": d, "recipe": RECIPE, "shape": SHAPE} | changed
    return weights.save(path, **given)


def same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and bool((x == y).all()) for x, y in pairs
    )


def test_it_comes_back_as_it_was(state: GANState, tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", state)
    found = weights.load(path)
    assert found.recipe == RECIPE
    assert found.shape == SHAPE
    assert same(found.generator, state.ema)
    assert same(found.discriminator, Weights(state.d.params, state.d.stats))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["w.safetensors", "w.safetensors.sha256"]


def test_without_a_discriminator(state: GANState, tmp_path: Path) -> None:
    found = weights.load(save(tmp_path / "w.safetensors", state, discriminator=None))
    assert found.discriminator is None
    assert same(found.generator, state.ema)


def test_others_can_read_it(state: GANState, tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", state)
    program = (
        "import sys, json, safetensors, safetensors.numpy\n"
        "found = safetensors.numpy.load_file(sys.argv[1])\n"
        "words = safetensors.safe_open(sys.argv[1], 'numpy').metadata()\n"
        "assert 'jaxgan' not in sys.modules and 'jax' not in sys.modules\n"
        "print(json.dumps({'words': words, 'shapes': {name: x.shape for name, x in found.items()}}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert told["words"]["format"] == "2"
    assert json.loads(told["words"]["recipe"]) == json.loads(json.dumps(recipes.to_dict(RECIPE)))
    assert json.loads(told["words"]["shape"]) == {"sample": [8, 8, 1], "classes": 10}
    assert told["words"]["jaxgan"]
    g = {name for name in told["shapes"] if name.startswith("G/")}
    assert {name.split("/")[1] for name in g} == {"params", "batch_stats"}
    assert {name.split("/")[1] for name in set(told["shapes"]) - g} == {"params", "spectral"}
    found = safetensors.numpy.load_file(path)
    for collection, part in {"params": state.ema.params, **state.ema.stats}.items():
        for module, leaves in part.items():
            for name, x in leaves.items():
                np.testing.assert_array_equal(found[f"G/{collection}/{module}/{name}"], x)


def test_the_same_weights_are_the_same_bytes(state: GANState, tmp_path: Path) -> None:
    contents = {save(tmp_path / f"{i}.safetensors", state).read_bytes() for i in range(6)}
    assert len(contents) == 1
    (content,) = contents
    seal = (tmp_path / "0.safetensors.sha256").read_text()
    assert seal == f"{hashlib.sha256(content).hexdigest()}  0.safetensors\n"
    assert (8 + struct.unpack("<q", content[:8])[0]) % 8 == 0


def test_scalars_stay_scalars(tmp_path: Path) -> None:
    tree = Weights({"noise": {"strength": np.float32(0.5)}, "b": np.arange(6.0).reshape(2, 3).T}, {"ema": {"x": np.int32(3)}})
    path = weights.save(tmp_path / "w.safetensors", generator=tree, discriminator=None, recipe=RECIPE, shape=SHAPE)
    found = safetensors.numpy.load_file(path)
    assert {name: (x.shape, x.dtype.name) for name, x in found.items()} == {
        "G/params/noise/strength": ((), "float32"),
        "G/params/b": ((3, 2), "float64"),
        "G/ema/x": ((), "int32"),
    }
    np.testing.assert_array_equal(found["G/params/b"], tree.params["b"])


# ----------------------------------------------------------------------------------------------------------- what is refused


def rewritten(path: Path, change: Any, words: dict[str, str] | None = None) -> Path:
    """The same file with other tensors and metadata, without a seal."""
    found = dict(safetensors.numpy.load_file(path))
    change(found)
    with safetensors.safe_open(path, "numpy") as file:
        kept = file.metadata() | (words or {})
    safetensors.numpy.save_file(found, path, {name: word for name, word in kept.items() if word})
    path.with_name(f"{path.name}.sha256").unlink()
    return path


def message(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        weights.load(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_all_that_does_not_fit_is_named(state: GANState, tmp_path: Path) -> None:
    def change(found: dict[str, np.ndarray]) -> None:
        del found["G/params/up_1/kernel"], found["D/spectral/logit/spectral_norm/u"]
        found["G/params/other/kernel"] = found["rest"] = np.zeros(1, np.float32)
        found["D/params/dense_0/bias"] = np.zeros((1, 2, 3), np.float32)
        found["G/params/up_0/kernel"] = np.full((4, 4, 64, 8), np.nan, np.float32)
        found["D/params/logit/bias"] = np.array([1e300])  # infinite in float32

    told = message(rewritten(save(tmp_path / "w.safetensors", state), change))
    parts = dict(part.split(": ", 1) for part in told.removeprefix("tensors: ").split("; "))
    assert {kind: set(names.split(", ")) for kind, names in parts.items() if kind != "misshaped"} == {
        "missing": {"G/params/up_1/kernel", "D/spectral/logit/spectral_norm/u"},
        "surplus": {"G/params/other/kernel", "rest"},
        "not finite": {"G/params/up_0/kernel", "D/params/logit/bias"},
    }
    assert parts["misshaped"] == "D/params/dense_0/bias (1, 2, 3) for (64)"


def test_other_floats_are_cast(state: GANState, tmp_path: Path) -> None:
    def change(found: dict[str, np.ndarray]) -> None:
        found.update({name: x.astype(np.float64) for name, x in found.items()})

    found = weights.load(rewritten(save(tmp_path / "w.safetensors", state), change))
    assert same(found.generator, state.ema)


def test_a_file_that_changed_is_refused(state: GANState, tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", state)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    expected = path.with_name(f"{path.name}.sha256").read_text().split()[0]
    assert message(path) == f"its sha256 must be {expected}, but it is {hashlib.sha256(content).hexdigest()}"
    path.with_name(f"{path.name}.sha256").write_text("")
    assert "its sha256 must be in w.safetensors.sha256, but it is" in message(path)
    path.with_name(f"{path.name}.sha256").unlink()
    assert weights.load(path).recipe == RECIPE  # without a seal, a flipped bit of a number is a number


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"format": "3"}, "format: '3', but this version of jaxgan reads '1' to '2'"),
        ({"format": ""}, "no file of weights that jaxgan wrote, or damaged"),
        ({"recipe": "{"}, "no file of weights that jaxgan wrote, or damaged"),
        ({"recipe": "[]"}, "recipe: [], but it must be a set of fields"),
        ({"recipe": '{"bach_size": 3}'}, "bach_size: no such field; did you mean 'batch_size'?"),
        ({"shape": "3"}, "no file of weights that jaxgan wrote, or damaged"),
        ({"shape": '{"sample": ["a"], "classes": 10}'}, "data.shape: 'a', but it must hold whole numbers"),
        ({"shape": '{"sample": [8, -8, 1], "classes": 10}'}, "data.shape: -8, but it must hold whole numbers"),
        ({"shape": '{"sample": [], "classes": 10}'}, "data.shape: (), but a sample is (H, W, C) or (F,)"),
        ({"shape": '{"sample": [20, 20, 1], "classes": 10}'}, "image_size: 20, but dcgan makes images of side"),
    ],
)
def test_metadata_that_says_something_else(state: GANState, tmp_path: Path, words: dict[str, str], told: str) -> None:
    assert told in message(rewritten(save(tmp_path / "w.safetensors", state), lambda found: None, words))


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x00" * 100, b"\xff" * 100, b"\x02" + bytes(7) + b"{}"])
def test_no_such_file_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        weights.load(path)
    path.write_bytes(content)
    assert "no file of weights that jaxgan wrote, or damaged" in message(path)
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        weights.load(tmp_path)


def test_weights_that_are_not_numbers_are_not_written(state: GANState, tmp_path: Path) -> None:
    broken = jax.tree.map(lambda x: np.full_like(x, np.inf), state.ema.stats)
    with pytest.raises(ValueError, match="weights: not finite: G/batch_stats/"):
        save(tmp_path / "w.safetensors", state, generator=state.ema._replace(stats=broken))
    several = dataclasses.replace(RECIPE, seeds=2)
    with pytest.raises(ValueError, match="recipe: it is for several GANs"):
        save(tmp_path / "w.safetensors", state, recipe=several)
    assert list(tmp_path.iterdir()) == []
