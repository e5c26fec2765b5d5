"""Samples of any shape and unit: told or measured, trained in [-1, 1], and back in the user's units when they leave."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import data, pictures
from jaxgan.commands.evaluate import evaluate
from jaxgan.commands.interpolate import interpolate
from jaxgan.commands.sample import sample
from jaxgan.core.units import BYTES, Units, to_trained, to_user
from jaxgan.evaluation.features.inputs import in_units
from jaxgan.recipes import MLP, Data, MLPDiscriminator, Recipe
from jaxgan.weights import portable

RNG = np.random.default_rng(0)
TINY = Recipe(
    generator=MLP(width=4, depth=1, latent_dim=2),
    discriminator=MLPDiscriminator(width=4, depth=1),
    batch_size=8,
    steps=2,
    log_interval=2,
    sample_interval=2,
    checkpoint_interval=2,
)
KELVIN = (RNG.random((48, 6, 10, 1)) * 140 + 180).astype(np.float32)
# Of each kind: the data, what else is told, the shape of a sample, and its units.
KINDS = {
    "table": (RNG.normal(5, 2, (48, 4)), {"measure": "minmax"}, (4,), "float64"),
    "signals": (RNG.normal(0, 3, (48, 16, 2)).astype(np.float32), {"dimensions": 1}, (16, 2), "float32"),
    "fields": (KELVIN, {}, (6, 10, 1), "float32"),
    "bands": (RNG.integers(100, 9000, (48, 5, 4, 7)).astype(np.uint16), {}, (5, 4, 7), "uint16"),
    "volumes": (RNG.integers(-50, 900, (48, 4, 6, 5)).astype(np.int32), {"dimensions": 3}, (4, 6, 5, 1), "int32"),
    "voxels": (RNG.random((48, 4, 6, 5, 2)), {"value_range": (-1, 2)}, (4, 6, 5, 2), "float64"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_and_comes_back_in_its_units(kind, tmp_path):
    samples, told, shape, dtype = KINDS[kind]
    dataset = data.from_array(samples, **told)
    assert (dataset.shape, dataset.units.dtype) == (shape, dtype)
    seen = np.asarray(dataset.batches(0, 48)(0)["image"][0])
    assert np.abs(seen).max() <= 1 + 1e-6
    if kind != "voxels":
        axes = tuple(range(seen.ndim - 1))
        np.testing.assert_allclose([seen.min(axes), seen.max(axes)], np.array([[-1], [1]]) * np.ones(shape[-1]), atol=1e-5)
    back = to_user(seen, dataset.units)
    assert back.dtype == dtype
    order = np.argsort(data.source.permutation(0, 0, 48))
    np.testing.assert_allclose(back[order].reshape(samples.shape), samples, rtol=1e-5, atol=1e-5)

    run = jaxgan.train(TINY, tmp_path / "run", dataset=dataset)
    assert json.loads((run.path / "recipe.json").read_text())["data"]["units"]["dtype"] == dtype
    with np.load(sample(run.path, n=3, out=tmp_path / "a.npz")) as drawn:
        made = drawn["images"]
    assert (made.shape, made.dtype) == ((3, *shape), dtype)
    assert samples.min() < np.median(made) < samples.max()
    with Image.open(sample(run.path, n=5, out=tmp_path / "a.png")) as picture:
        assert picture.width > 40
    interpolate(run.path, out=tmp_path / "way.png", frames=2, seeds=(1, 2))
    with Image.open(run.path / "samples" / "000002.png") as picture:
        assert len(set(np.asarray(picture.convert("L")).ravel().tolist())) > 4


def test_the_readme_of_data_runs_as_printed(tmp_path, monkeypatch, capsys):
    page = Path(data.__file__).with_name("README.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    small = "jaxgan.recipes.{}(width=4, max_width=4, patch=16)"
    for old, new in (
        ("steps=2_000", "steps=2"),
        ('generator="resnet"', f"generator={small.format('ResNet')}"),
        ('discriminator="resnet"', f"discriminator={small.format('ResNetDiscriminator')}"),
    ):
        assert old in code
        code = code.replace(old, new)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == "float64 (4, 24, 40, 1)\n"
    units = json.loads((tmp_path / "runs" / "fields" / "recipe.json").read_text())["data"]["units"]
    assert units["low"][0] == pytest.approx(273.15, abs=0.1)


def test_figures_are_in_the_users_units(tmp_path):
    np.savez(tmp_path / "kelvin.npz", images=KELVIN)
    mean = jaxgan.Metric(
        lambda real, fake: fake.mean() / real.mean(), better="as real", definition="ratio of means", of="samples"
    )
    mean = dataclasses.replace(mean, name="ratio")
    options = {"data": f"npz:{tmp_path / 'kelvin.npz'}", "metrics": ["fid", mean], "n": 48}
    same = evaluate(tmp_path / "kelvin.npz", **options).values
    assert same["fid"].mean < 1e-6
    assert abs(same["ratio"].mean - 1) < 1e-6
    assert same["fid"].how["features"]["name"] == "whitened"  # no network of pictures
    np.savez(tmp_path / "warmer.npz", images=KELVIN + 25.0)
    warmer = evaluate(tmp_path / "warmer.npz", **options).values
    assert abs(warmer["ratio"].mean - (KELVIN.mean() + 25) / KELVIN.mean()) < 1e-5
    run = jaxgan.train(dataclasses.replace(TINY, data=Data(f"npz:{tmp_path / 'kelvin.npz'}")), tmp_path / "run")
    found = evaluate(run.path, metrics=["fid", mean], n=40).values
    with np.load(sample(run.path, n=40, out=tmp_path / "a.npz")) as drawn:
        assert abs(found["ratio"].mean - drawn["images"].mean() / KELVIN.mean()) < 1e-4


def test_the_map_and_its_inverse():
    units = Units("float64", (180.0, -5.0), (320.0, 5.0))
    x = RNG.random((7, 3, 2)) * (140, 10) + (180, -5)
    trained = to_trained(x, units)
    np.testing.assert_allclose(trained, 2 * (x - (180, -5)) / (140, 10) - 1, atol=1e-6)
    np.testing.assert_allclose(to_user(trained, units), x, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda x: in_units(x, units))(jnp.asarray(trained)), x, rtol=1e-6, atol=2e-5)
    whole = np.array([[0], [77], [65535]], np.uint16)
    counts = Units("uint16", (0.0,), (65535.0,))
    np.testing.assert_array_equal(to_user(to_trained(whole, counts), counts), whole)
    np.testing.assert_array_equal(to_user(np.array([[-1.5], [1.5]]), counts), [[0], [65535]])  # no wrapping around
    every = np.arange(256, dtype=np.uint8)[:, None]
    np.testing.assert_array_equal(to_user((every / 127.5 - 1).astype(np.float32), BYTES), every)
    plain = RNG.normal(size=(4, 3)).astype(np.float32)
    for same in (Units(), Units("float32", (-1.0,), (1.0,))):
        np.testing.assert_array_equal(to_user(to_trained(plain, same), same), plain)


def test_the_number_of_dimensions_is_told_and_never_guessed():
    for shape, dimensions, want in [
        ((9, 16, 16, 4), None, (16, 16, 4)),
        ((9, 16, 16, 4), 3, (16, 16, 4, 1)),
        ((9, 8, 8), None, (8, 8, 1)),
        ((9, 8, 8), 1, (8, 8)),
        ((9, 8), None, (8,)),
        ((9, 8), 1, (8, 1)),
        ((9, 3, 3, 3, 3), None, (3, 3, 3, 3)),
    ]:
        found = data.from_array(RNG.random(shape), dimensions=dimensions)
        assert found.shape == want
    assert data.from_array(RNG.integers(0, 256, (9, 8, 8), dtype=np.uint8)).units == BYTES


def test_percentiles_leave_out_what_is_rare():
    x = RNG.normal(size=(4000, 2, 2, 1))
    x[0] = 1e6
    units = data.from_array(x, measure="percentiles").units
    assert 2.5 < units.high[0] < 4.5
    assert data.from_array(x).units.high[0] == 1e6
    assert data.from_array(x, measure="none").units.are_plain


@pytest.mark.parametrize(
    ("samples", "told", "message"),
    [
        (np.stack([KELVIN[..., 0], np.full((48, 6, 10), 7.0)], -1), {}, "samples: channel 1 of the data is constant, 7, but"),
        (KELVIN, {"value_range": (0, 100)}, "value_range: 0 100, but the data reach from 18"),
        (KELVIN, {"value_range": (320, 180)}, "value_range: 320 180, but .* LOW below HIGH"),
        (KELVIN, {"value_range": (1, 2, 3)}, "value_range: 1 2 3, but it must be LOW HIGH"),
        (KELVIN, {"value_range": (0, 400, 0, 400)}, "value_range: 2 pairs, but the data have 1 channels"),
        (KELVIN, {"value_range": ("a", "b")}, "value_range: .* LOW HIGH"),
        (KELVIN, {"value_range": (0, 400), "measure": "minmax"}, "measure: minmax, but value_range is given"),
        (KELVIN, {"measure": "mean"}, "measure: 'mean' is not one of auto, minmax"),
        (KELVIN, {"dimensions": 4}, "dimensions: 4, but it must be 0"),
        (KELVIN, {"dimensions": 1}, r"images: shape \(48, 6, 10, 1\) of 1 dimensions"),
        (np.where(KELVIN > 319, np.inf, KELVIN), {}, r"images: inf at \[\d+, \d, \d, 0\], but they must be finite"),
    ],
)
def test_units_that_do_not_fit_are_refused_in_one_line(samples, told, message):
    with pytest.raises(ValueError, match=message) as caught:
        data.from_array(samples, **told)
    assert "\n" not in str(caught.value)


def test_a_stream_is_measured_once_and_read_in_the_same_units():
    class Elements:
        def __len__(self):
            return len(KELVIN)

        def __getitem__(self, i):
            return KELVIN[i]

    streamed, resident = data.from_source(Elements()), data.from_array(KELVIN)
    assert streamed.units == resident.units
    np.testing.assert_array_equal(streamed.batches(1, 8)(3)["image"], resident.batches(1, 8)(3)["image"])
    with pytest.raises(ValueError, match=r"^measure: percentiles, but source is streamed"):
        data.from_source(Elements(), measure="percentiles")


def test_every_shape_has_a_view():
    for shape, units in [
        ((9, 2), None),
        ((9, 6), None),
        ((9, 20, 3), None),
        ((9, 6, 7, 1), Units("float32", (180.0,), (320.0,))),
        ((9, 6, 7, 5), Units("float32", (0.0,) * 5, (1.0, 2.0, 3.0, 4.0, 5.0))),
        ((9, 4, 6, 5, 1), None),
    ]:
        x = RNG.random(shape) * 2 - 1
        picture = pictures.view(x, units, real=x if len(shape) == 2 else None)
        assert min(picture.size) > 40
        again = pictures.view(-x, units, real=x if len(shape) == 2 else None)
        assert again.size == picture.size
        assert np.any(np.asarray(again) != np.asarray(picture))
    with pytest.raises(ValueError, match="of shape"):
        pictures.view(np.zeros((2, 2, 2, 2, 2, 2)))


def test_a_sampler_leaves_in_the_units_that_a_run_leaves_in() -> None:
    """The file that stands alone maps as `core.units` does."""
    made = np.linspace(-1.5, 1.5, 2 * 24, dtype=np.float32).reshape(2, 4, 3, 2)
    for units in (BYTES, Units("uint16", (0.0,), (4095.0,)), Units("float64", (200.0, -1.0), (300.0, 5.0)), Units("float32"),
                  Units("int8", (-3.0,), (9.0,)), Units("float16", (-1.0,), (1.0,))):  # fmt: skip
        about = portable.About((4, 3, 2), 0, (), 4, "float32", mapped=False, units=tuple(units))
        left, wanted = portable.leaving(made, about), to_user(made, units)
        assert left.dtype == wanted.dtype
        assert (left == wanted).all(), units


def test_vectors_far_from_the_networks_range_are_mapped_and_points_keep_their_place() -> None:
    rows = np.random.default_rng(0).normal(100, 5, (40, 3)).astype(np.float32)
    far = data.from_array(rows)
    assert far.units == Units("float32", tuple(rows.min(0).tolist()), tuple(rows.max(0).tolist()))
    assert np.abs(np.asarray(far.batches(0, 40)(0)["image"])).max() == pytest.approx(1.0)
    assert data.from_array(rows.astype(np.uint8)).units.dtype == "uint8"
    for untouched in (data.from_array(rows / 100), data.from_array(rows, measure="none")):
        assert untouched.units.low == ()
    with pytest.raises(ValueError, match="channel 1 of the data is constant, 7, but a range"):
        data.from_array(np.stack([rows[:, 0], np.full(40, 7.0)], axis=1))
