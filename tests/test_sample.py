"""Sampling from a run: image i is the same picture however it is made."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import pictures
from jaxgan.commands.interpolate import interpolate
from jaxgan.commands.sample import sample
from jaxgan.core import latents
from jaxgan.core.types import GAN, Weights
from jaxgan.training import runs
from jaxgan.training.generate import generate


def drawn(run: Path, out: Path, **options: object) -> tuple[np.ndarray, np.ndarray]:
    with np.load(sample(run, out=out, **options)) as arrays:  # type: ignore[arg-type]
        return arrays["images"], arrays["labels"]


def generator_of(path: Path) -> tuple[GAN, Weights]:
    run = runs.read(path)
    experiment = run.experiment()
    return experiment.one, runs.generators(run, experiment)[0][0]


def test_batch_size_changes_nothing(tiny_run: Path, tmp_path: Path) -> None:
    many, labels = drawn(tiny_run, tmp_path / "a.npz", n=40, batch=64)
    single, _ = drawn(tiny_run, tmp_path / "b.npz", n=40, batch=1)
    fewer, _ = drawn(tiny_run, tmp_path / "c.npz", n=7, batch=3)
    assert many.shape == (40, 8, 8, 1)
    assert many.dtype == np.uint8
    assert labels.tolist() == [i % 10 for i in range(40)]
    assert (many == single).mean() >= 0.999
    assert (many[:7] == fewer).mean() >= 0.999
    assert (many[:10] != many[10:20]).any()


def test_one_device_gives_what_two_give(tiny_run: Path) -> None:
    gan, weights = generator_of(tiny_run)
    labels = np.arange(8, dtype=np.int32)
    z = latents.draw(jax.random.key(3), jnp.arange(8), 8)
    two = generate(gan, weights, jax.random.key(3), z, labels, batch=4)
    gan, state = jaxgan.load(tiny_run)
    one = jax.jit(gan.sample)(state.ema, jax.random.key(3), jnp.asarray(labels))
    assert jax.device_count() == 2
    np.testing.assert_allclose(two, np.asarray(one), atol=1e-6)


def test_seed_and_labels_decide(tiny_run: Path, tmp_path: Path) -> None:
    a, labels = drawn(tiny_run, tmp_path / "a.npz", n=6, seed=5, labels=[2, 7])
    b, _ = drawn(tiny_run, tmp_path / "b.npz", n=6, seed=6, labels=[2, 7])
    c, _ = drawn(tiny_run, tmp_path / "c.npz", n=6, seed=5, labels=[2, 8])
    assert labels.tolist() == [2, 7, 2, 7, 2, 7]
    assert (a != b).any()
    assert (a[::2] == c[::2]).mean() >= 0.999
    assert (a[1::2] != c[1::2]).any()


def test_truncation_narrows(tiny_run: Path, tmp_path: Path) -> None:
    wide, _ = drawn(tiny_run, tmp_path / "a.npz", n=64, labels=[3])
    narrow, _ = drawn(tiny_run, tmp_path / "b.npz", n=64, labels=[3], truncation=0.05)
    assert narrow.astype(float).std(axis=0).mean() < 0.3 * wide.astype(float).std(axis=0).mean()


def test_a_way_passes_through_its_seeds_and_moves_smoothly(tiny_run: Path, tmp_path: Path) -> None:
    gan, weights = generator_of(tiny_run)
    ends = jnp.concatenate([latents.draw(jax.random.key(seed), jnp.arange(1), 8) for seed in (3, 7)])
    z = latents.walk(ends, 9)
    frames = generate(gan, weights, jax.random.key(0), z, np.full(9, 4, np.int32), batch=64)
    for frame, seed in ((0, 3), (8, 7)):
        alone, _ = drawn(tiny_run, tmp_path / f"{seed}.npz", n=1, seed=seed, labels=[4])
        assert (pictures.to_uint8(frames[frame]) == alone[0]).mean() >= 0.999
    steps = np.sqrt(((frames[1:] - frames[:-1]) ** 2).sum((1, 2, 3)))
    assert steps.max() <= 3 * steps.mean()
    with Image.open(interpolate(tiny_run, out=tmp_path / "way.png", seeds=(3, 7), labels=[4, 5])) as strip:
        assert strip.width > 3 * strip.height  # 9 frames by 2 labels


def test_load_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a run"):
        jaxgan.load(tmp_path / "nowhere")
    for read in (jaxgan.load, jaxgan.load_sampler, jaxgan.sample, jaxgan.report):
        with pytest.raises(ValueError, match=r"^run: an int, but it must be a str or a pathlib\.Path$"):
            read(5)
