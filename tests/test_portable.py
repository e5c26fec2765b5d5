"""The `.jaxgan` file: the same samples without this library, and nothing read that was altered."""

import ast
import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan.core.types import Weights
from jaxgan.recipes import R3GAN, Recipe, ResNet, StyleGAN2
from jaxgan.training import exported
from jaxgan.training.dataset import Shape
from jaxgan.training.sampler import generator_of, sampler
from jaxgan.weights import portable


@pytest.fixture(scope="module")
def exported_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jaxgan.export(tiny_run, out=tmp_path_factory.mktemp("export") / "g.jaxgan")


def test_it_draws_what_the_run_draws(tiny_run: Path, exported_run: Path, tmp_path: Path) -> None:
    ours, theirs = jaxgan.load_sampler(tiny_run), jaxgan.load_sampler(exported_run)
    assert theirs.about == ours.about
    for options in ({"n": 70, "seed": 2**32 - 1}, {"n": 9, "labels": 3}, {"n": 9, "truncation": 0.3}, {"z": np.ones((3, 8))}):
        a, b = ours(**options), theirs(**options)
        assert (a.images == b.images).mean() >= 0.999
        np.testing.assert_array_equal(a.labels, b.labels)
    with pytest.raises(ValueError, match="labels: 42, but the classes are 0 to 9"):
        theirs(labels=42)
    out = jaxgan.sample(exported_run, n=20, out=tmp_path / "x.npz")
    with np.load(out) as arrays:
        assert (arrays["images"] == ours(20).images).mean() >= 0.999
    assert jaxgan.interpolate(exported_run, out=tmp_path / "x.webp", labels=["3", 4], frames=3).stat().st_size > 0


ALONE = """
import sys
import portable
import numpy as np
samples = portable.load("g.jaxgan")(n=12, seed=5)
np.savez("alone.npz", images=samples.images, labels=samples.labels)
tops = {name.partition(".")[0] for name in sys.modules}
ours = {"jaxgan", "flax", "optax", "orbax", "lazy_loader", "safetensors", "PIL", "matplotlib", "tyro", "tqdm", "grain"}
assert not tops & ours, tops & ours
"""


def test_it_needs_jax_numpy_and_flatbuffers_only(tiny_run: Path, exported_run: Path, tmp_path: Path) -> None:
    tree = ast.parse(Path(portable.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {name.partition(".")[0] for name in names}
    assert tops - set(sys.stdlib_module_names) == {"jax", "numpy", "ml_dtypes"}  # the last of which JAX needs itself
    (tmp_path / "portable.py").write_bytes(Path(portable.__file__).read_bytes())
    (tmp_path / "g.jaxgan").write_bytes(exported_run.read_bytes())
    subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True, timeout=100)
    with np.load(tmp_path / "alone.npz") as arrays:
        assert (arrays["images"] == jaxgan.load_sampler(tiny_run)(12, seed=5).images).mean() >= 0.999


def test_what_is_altered_is_refused_before_anything_is_deserialised(
    exported_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = exported_run.read_bytes()
    monkeypatch.setattr("jax.export.deserialize", lambda _: pytest.fail("deserialised"))
    rng = np.random.default_rng(0)
    flipped = []
    for at in rng.integers(8, len(good), 20):
        bad = bytearray(good)
        bad[at] ^= 1 << int(rng.integers(8))
        flipped.append((bytes(bad), "damaged, altered or cut short"))
    cut = [(good[:count], "damaged, altered or cut short") for count in (48, 100, len(good) // 2, len(good) - 1)]
    newer = good[:7] + b"\x02" + good[8:]
    for content, told in [*flipped, *cut, (newer, "of format 2"), (b"", "no file that"), (b"PK" + good, "no file that")]:
        (tmp_path / "bad.jaxgan").write_bytes(content)
        with pytest.raises(portable.NotAnExport, match=told) as caught:
            jaxgan.load_sampler(tmp_path / "bad.jaxgan")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"programs": {}}', b'{"programs": {"latents": -1, "images": 1, "truncated": 0}}']
)
def test_headers_that_are_none_are_refused(text: bytes) -> None:
    body = len(text).to_bytes(8, "little") + text
    with pytest.raises(portable.NotAnExport, match="its header is not that"):
        portable.of_bytes(portable.MAGIC + hashlib.sha256(body).digest() + body)
    body = (2**40).to_bytes(8, "little") + text
    with pytest.raises(portable.NotAnExport, match="longer than the file"):
        portable.of_bytes(portable.MAGIC + hashlib.sha256(body).digest() + body)


def test_the_file_says_what_it_is_and_nothing_of_this_machine(exported_run: Path, tiny_run: Path) -> None:
    content = exported_run.read_bytes()
    header, programs, weights = portable.unpack(content)
    assert header["step"] == 12
    assert header["recipe"]["generator"]["width"] == 8
    assert header["platforms"] == ["cpu", "cuda", "tpu"]
    assert header["versions"]["jax"] == jax.__version__
    assert "6 months" in header["window"]
    assert header["generator"]["class_names"] == list("0123456789")
    assert sum(each.size for each in weights) < 2_000
    assert str(Path(jaxgan.__file__).parent).encode() not in b"".join(programs.values())
    assert jaxgan.export(tiny_run, out=exported_run.with_name("again.jaxgan")).read_bytes() == content


NETWORKS = {
    "dcgan": Recipe(data="mnist", generator="dcgan", discriminator="dcgan").generator,
    "r3gan": R3GAN(widths=(16, 16, 16), groups=(4, 4, 4), blocks=(1, 1, 1)),
    "resnet": ResNet(width=8, patch=2, norm="group"),
    "stylegan2": StyleGAN2(channel_base=256, channel_max=16, style_dim=16),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_a_program_for_batches_of_any_size(name: str) -> None:
    part: Any = NETWORKS[name]
    side = 32 if name == "dcgan" else 16
    if name == "dcgan":
        part = dataclasses.replace(part, width=16)
    generator = generator_of(Recipe(data="mnist", generator=part, discriminator="mlp"), Shape((side, side, 3), 3), tuple("abc"))
    params, stats = jax.jit(lambda: generator.generator.init(jax.random.key(3)))()
    weights = Weights(
        jax.tree.map(lambda x: x + 0.02 * jax.random.normal(jax.random.key(1), x.shape, jnp.float32), params), stats
    )
    ours, theirs = sampler(generator, weights), portable.of_bytes(exported.to_bytes(generator, weights, {}))
    psi = 0.7 if name == "stylegan2" else None
    a, b = ours(9, seed=7, truncation=psi), theirs(9, seed=7, truncation=psi)
    assert a.images.std() > 1
    assert (np.abs(a.images.astype(int) - b.images.astype(int)) <= 1).all()
    assert (a.images == b.images).mean() >= 0.999


def test_weights_that_make_no_images_are_not_exported() -> None:
    generator = generator_of(Recipe(data="mnist", generator="mlp", discriminator="mlp"), Shape((8, 8, 1), 0))
    bad = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), generator.abstract)
    with pytest.raises(ValueError, match="weights: they are not finite"):
        exported.to_bytes(generator, bad, {})
