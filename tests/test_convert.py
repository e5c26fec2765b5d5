"""Weights under PyTorch's names become a run, whose images are those of the weights."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxgan import cli
from jaxgan.commands.convert import convert
from jaxgan.commands.interpolate import interpolate
from jaxgan.commands.sample import sample
from jaxgan.nets import dcgan, r3gan, sngan, stylegan2
from jaxgan.training import runs
from jaxgan.weights import torch_file
from jaxgan.weights.names import dcgan as dcgan_names
from jaxgan.weights.names import r3gan as r3gan_names
from jaxgan.weights.names import sngan as sngan_names
from jaxgan.weights.names import stylegan2 as stylegan2_names

Z = {"dcgan": 5, "sngan": 6, "r3gan": 4, "stylegan2": 6}
SMALL = {"widths": (8, 8, 4), "groups": (2, 1, 2), "blocks": (1, 2, 1)}
MODULES = {  # a pair of each architecture; those that may be are conditional
    "dcgan": (dcgan.Generator(32, 3, 2), dcgan.Discriminator(32, 3, 4)),
    "sngan": (sngan.Generator(width=4, classes=3), sngan.Discriminator(width=2, classes=3)),
    "r3gan": (r3gan.Generator(**SMALL, classes=3, embedding=5), r3gan.Discriminator(**SMALL, classes=3, embedding=7)),
    "stylegan2": (
        stylegan2.Generator(8, classes=2, w_dim=5, mapping_layers=2, channel_base=32, channel_max=6, architecture="resnet"),
        stylegan2.Discriminator(8, classes=2, mapping_layers=1, channel_base=32, channel_max=5, architecture="skip"),
    ),
}
NAMES = {"dcgan": dcgan_names, "sngan": sngan_names, "r3gan": r3gan_names, "stylegan2": stylegan2_names}
NETS = {"dcgan": dcgan, "sngan": sngan, "r3gan": r3gan, "stylegan2": stylegan2}
every_kind = pytest.mark.parametrize("kind", MODULES)


def tensors_of(kind: str, player: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A state dict of random numbers, buffers of filters as they must be."""
    module = MODULES[kind][player]
    layout = NAMES[kind].torch_layout(module, latent_dim=Z[kind]) if player == 0 else NAMES[kind].torch_layout(module)
    rng = np.random.default_rng(seed)
    made = {}
    for name, tensor in layout.items():
        x = np.abs(rng.standard_normal(tensor.shape)) * 0.3 + 0.1
        made[name] = np.array(x if tensor.fixed is None else tensor.fixed, np.float32)
    return made


def stored(path: Path, **networks: dict[str, np.ndarray]) -> Path:
    flat = {f"{player}.{name}": np.array(x) for player, tensors in networks.items() for name, x in tensors.items()}
    save_file(flat, path)
    return path


@every_kind
def test_a_run_has_the_weights_of_the_file(kind, tmp_path):
    g, ema, d = tensors_of(kind, 0), tensors_of(kind, 0, seed=1), tensors_of(kind, 1)
    run = convert(stored(tmp_path / "all.safetensors", G=g, G_ema=ema, D=d), kind, tmp_path / "run")
    gan, state = runs.load(run)
    assert int(state.step) == 0
    for tensors, player, found in ((g, 0, state.g), (ema, 0, state.ema), (d, 1, state.d)):
        module, params, stats = NAMES[kind].from_torch(tensors)
        assert module == MODULES[kind][player]
        jax.tree.map(np.testing.assert_array_equal, found.params, params)
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.reshape(a, -1), np.reshape(b, -1)), found.stats, dict(stats))
    module, params, stats = NAMES[kind].from_torch(ema)
    z, labels = np.random.default_rng(3).standard_normal((2, Z[kind])).astype(np.float32), jnp.array([1, 0])
    arguments = (z, labels) if module.classes else (z,)
    expected = jax.jit(module.apply)({"params": params, **stats}, *arguments)
    found = jax.jit(lambda weights: gan.sample(weights, jax.random.key(0), labels, z=z))(state.ema)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_run_of_foreign_weights_is_drawn_from(tmp_path):
    run = convert(stored(tmp_path / "g.safetensors", G_ema=tensors_of("stylegan2", 0)), "stylegan2", tmp_path / "run")
    with np.load(sample(run, n=4, truncation=0.5, labels=[1], out=tmp_path / "half.npz")) as drawn:
        half, labels = drawn["images"], drawn["labels"]
    assert half.shape == (4, 8, 8, 3)
    assert labels.tolist() == [1] * 4
    with np.load(sample(run, n=4, truncation=0.0, labels=[1], out=tmp_path / "mean.npz")) as drawn:
        assert (drawn["images"] == drawn["images"][:1]).all()
    with pytest.raises(ValueError, match=r"truncation: 3\.0, but of styles it must be from 0 to 2"):
        sample(run, n=4, truncation=3.0)
    assert interpolate(run, out=tmp_path / "way.png", seeds=[1, 2], frames=3).is_file()


def test_generator_and_discriminator_from_two_files_and_by_the_command(tmp_path, capsys):
    save_file(tensors_of("dcgan", 0), tmp_path / "netG.safetensors")
    save_file(tensors_of("dcgan", 1), tmp_path / "netD.safetensors")
    words = ["--as", "dcgan", "--discriminator", str(tmp_path / "netD.safetensors"), "--out", str(tmp_path / "run")]
    cli.main(["convert", str(tmp_path / "netG.safetensors"), *words])
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run")
    _, state = runs.load(tmp_path / "run")
    kernel = tensors_of("dcgan", 1)["main.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(state.d.params["down_0"]["kernel"], kernel)
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]
    assert recipe["data"]["name"] == "none"


def test_without_a_discriminator_it_says_so(tmp_path, caplog):
    save_file(tensors_of("sngan", 0), tmp_path / "g.safetensors")
    convert(tmp_path / "g.safetensors", "sngan", tmp_path / "run")
    assert "holds no discriminator: the run's is an untrained one" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Model.AggregationLayer.Layer.weight": None}, "missing: Model.AggregationLayer.Layer.weight"),
        ({"Model.More": np.zeros(3, np.float32)}, "surplus: Model.More"),
        ({"Model.EmbeddingLayer.weight": np.full((5, 3), np.nan, np.float32)}, "not finite: Model.EmbeddingLayer.weight"),
        ({"Model.MainLayers.1.Layers.0.Resampler.Kernel": np.ones((4, 4), np.float32)}, "of another value than this"),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_written(change, message, tmp_path):
    tensors = {name: x for name, x in (tensors_of("r3gan", 0) | change).items() if x is not None}
    file = stored(tmp_path / "g.safetensors", G=tensors)
    with pytest.raises(ValueError) as error:
        convert(file, "r3gan", tmp_path / "run")
    assert message in str(error.value)
    assert str(error.value).startswith(f"file: {file}, G, as r3gan: ")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_converted_is_refused(tmp_path):
    g, d = tensors_of("r3gan", 0), tensors_of("r3gan", 1)
    with pytest.raises(ValueError, match="as: 'biggan' is not one of dcgan, sngan, r3gan, stylegan2"):
        convert(tmp_path / "g.safetensors", "biggan", tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        convert(tmp_path / "none.pth", "dcgan", tmp_path / "run")
    with pytest.raises(ValueError, match="as stylegan2: "):
        convert(stored(tmp_path / "a.safetensors", G=g), "stylegan2", tmp_path / "run")
    with pytest.raises(ValueError, match="holds no generator, but a run needs one"):
        convert(stored(tmp_path / "b.safetensors", D=d), "r3gan", tmp_path / "run")
    other = NAMES["r3gan"].torch_layout(r3gan.Discriminator((8, 8), (2, 2), 1, classes=3))
    smaller = {name: np.full(each.shape, 0.1, np.float32) if each.fixed is None else np.asarray(each.fixed, np.float32)
               for name, each in other.items()}  # fmt: skip
    with pytest.raises(ValueError, match=r"judges images of shape \(8, 8, 3\) in 3 classes, but the generator makes"):
        convert(stored(tmp_path / "c.safetensors", G=g, D=smaller), "r3gan", tmp_path / "run")
    wider = NAMES["r3gan"].torch_layout(r3gan.Generator(**{**SMALL, "expansion": 3}, classes=3, embedding=5), latent_dim=4)
    of_another_size = {
        name: np.full(each.shape, 0.1, np.float32) if each.fixed is None else np.asarray(each.fixed, np.float32)
        for name, each in wider.items()
    }
    with pytest.raises(ValueError, match=r"holds a G and a G_ema of different sizes: expansion 2 and 3$"):
        convert(stored(tmp_path / "d.safetensors", G=g, G_ema=of_another_size), "r3gan", tmp_path / "run")
    linear = "Model.MainLayers.0.Layers.0.LinearLayer.weight"
    for value, told in (
        (np.float32(3), f"misshaped: {linear}"),
        (g[linear][:, :5], "takes 5 numbers, but 5 of them are of the class"),
    ):
        with pytest.raises(ValueError, match=told):
            convert(stored(tmp_path / "e.safetensors", G=g | {linear: np.array(value)}), "r3gan", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_that_no_recipe_describes_is_refused(tmp_path):
    silent = {name: x for name, x in tensors_of("stylegan2", 0).items() if "noise" not in name}
    with pytest.raises(ValueError, match="file: its network is of a form that no recipe describes"):
        convert(stored(tmp_path / "g.safetensors", G=silent), "stylegan2", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_converted_run_cannot_be_trained_on_without_data(tmp_path):
    run = convert(stored(tmp_path / "g.safetensors", G=tensors_of("r3gan", 0)), "r3gan", tmp_path / "run")
    from jaxgan.training.dataset import open_data

    with pytest.raises(ValueError, match=r"data\.name: none, but a run without data can only be drawn from"):
        open_data(runs.read(run).recipe)


def test_what_tensors_do_not_tell_is_assumed_aloud_or_told(tmp_path, caplog):
    g, d = tensors_of("stylegan2", 0), tensors_of("stylegan2", 1)
    file = stored(tmp_path / "both.safetensors", netG=g, discriminator=d)
    run = convert(file, "stylegan2", tmp_path / "run")
    assert "the bound of the activations is not told by tensors: none is assumed (--clamp" in caplog.text
    assert "4 are assumed (--group)" in caplog.text
    kept = json.loads((run / "recipe.json").read_text())
    assert kept["converted"]["training"] == "not known"
    assert len(kept["converted"]["assumed"]) == 2
    caplog.clear()
    told = convert(file, "stylegan2", tmp_path / "told", clamp=256.0, group=8)
    recipe = runs.read(told).recipe
    assert (recipe.generator.clamp, recipe.discriminator.clamp, recipe.discriminator.group) == (256.0, 256.0, 8)
    assert "assumed" not in caplog.text
    assert json.loads((told / "recipe.json").read_text())["converted"]["assumed"] == []
    with pytest.raises(ValueError, match="group: 8, but it is of stylegan2, not of dcgan"):
        convert(file, "dcgan", tmp_path / "none", group=8)


def test_a_file_of_other_networks_says_what_it_holds(tmp_path, monkeypatch):
    parts = {"encoder": {"w": np.zeros((2, 3), np.float32)}, "decoder": {"w": np.zeros(4, np.float32)}}
    monkeypatch.setattr(torch_file, "read", lambda _: parts)
    with pytest.raises(ValueError, match=r"holds encoder \(1 tensors: w \(2, 3\)\), decoder .*, but a run needs a generator"):
        convert(tmp_path / "two.pth", "stylegan2", tmp_path / "run")
    assert not (tmp_path / "run").exists()
