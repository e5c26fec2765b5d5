"""Features by name: which images become what first, and which name stands for which network and checksum."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from jaxgan import pictures
from jaxgan.evaluation import features
from jaxgan.evaluation.features import dinov2, extractors, inputs, published

RNG = np.random.default_rng(0)


def images(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("shape", "wanted", "words"),
    [
        ((28, 28, 1), (28, 28, 1), "28x28 as they are"),
        ((28, 28, 1), (32, 32, 1), "28x28 to 32x32, 2 black pixels on each side"),
        ((32, 32, 1), (28, 28, 1), "32x32 to 28x28, 2 pixels cut away on each side"),
        ((8, 8, 1), (8, 8, 3), "8x8 as they are; grey to RGB by repetition"),
        ((20, 12, 3), (8, 8, 1), "20x12 to 8x8, bicubic with antialiasing; RGB to grey, ITU-R 601-2"),
        ((9, 9, 4), (None, None, 3), "9x9 as they are; transparency on white"),
        ((9, 9, 4), (9, 9, 1), "9x9 as they are; transparency on white; RGB to grey, ITU-R 601-2"),
    ],
)
def test_what_is_done_to_images_is_said_and_done(shape, wanted, words):
    given = images(3, *shape)
    fit = inputs.fit(shape, wanted)
    assert fit.words == words
    found = np.asarray(fit.apply(jnp.asarray(given)))
    assert found.shape == (3, wanted[0] or shape[0], wanted[1] or shape[1], wanted[2])
    assert found.dtype == np.float32
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[shape[2]]
    for image, ours in zip(given, found, strict=True):  # Pillow as the judge
        picture = Image.fromarray(image[..., 0] if mode == "L" else image, mode)
        if mode == "RGBA":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        picture = picture.convert({1: "L", 3: "RGB"}[wanted[2]])
        if shape[:2] == (28, 28) and wanted[0] == 32:
            expected = np.pad(np.asarray(picture), 2)
        elif shape[:2] == (32, 32) and wanted[0] == 28:
            expected = np.asarray(picture)[2:-2, 2:-2]
        else:
            expected = np.asarray(picture.resize(ours.shape[1::-1], Image.Resampling.BICUBIC))
        # Pillow rounds to whole levels after each of up to three operations, and ours never.
        assert np.abs(ours.squeeze() - expected).max() <= 1.6


def test_channels_that_mean_nothing_to_a_network_are_refused():
    with pytest.raises(ValueError, match="images: 2 channels, but this network takes 3, made of 1, 3 or 4"):
        inputs.fit((8, 8, 2), (8, 8, 3))


def test_images_are_judged_as_a_file_holds_them():
    x = np.linspace(-1.2, 1.2, 4 * 5 * 5).astype(np.float32).reshape(4, 5, 5, 1)
    np.testing.assert_array_equal(inputs.quantised(jnp.asarray(x)), pictures.to_uint8(x))
    same = images(2, 5, 5, 1)
    np.testing.assert_array_equal(inputs.quantised(jnp.asarray(same)), same)


def test_pixels_are_the_pixels():
    given = images(4, 6, 5, 3)
    extractor = features.extractor("pixels", (6, 5, 3))
    assert (extractor.size, extractor.resize, extractor.accuracy) == (90, "6x5 as they are", None)
    np.testing.assert_allclose(extractor.features(given), given.reshape(4, -1) / 127.5 - 1, atol=1e-6)
    other = features.extractor("pixels", (12, 10, 3), reference=(6, 5, 3))
    assert (other.size, other.resize) == (90, "12x10 to 6x5, bicubic with antialiasing")
    assert other.checksum == extractor.checksum
    assert features.extractor("pixels", (5, 6, 3)).checksum != extractor.checksum


def test_a_classifier_of_the_library_is_an_extractor():
    extractor = features.extractor("digits", (8, 8, 1))
    judge = features.classifier("digits")
    assert (extractor.checksum, extractor.size, extractor.accuracy) == (judge.checksum, 64, judge.accuracy)
    assert judge.accuracy > 0.95  # 97.5 to 98.7 % with the seeds 0 to 2
    given = images(4, 8, 8, 1)
    x = given / 127.5 - 1
    found = extractor.apply(extractor.params, jnp.asarray(given))
    np.testing.assert_allclose(found.features, judge.features(jnp.asarray(x, jnp.float32)), atol=1e-4)
    np.testing.assert_allclose(found.logits, judge.logits(jnp.asarray(x, jnp.float32)), atol=1e-4)
    assert features.extractor("digits", (28, 28, 3)).resize.endswith("bicubic with antialiasing; RGB to grey, ITU-R 601-2")


def test_each_data_set_has_its_own():
    names = [features.own(name) for name in ("digits", "tfds:mnist", "cifar10", "stacked_mnist", "folder:faces")]
    assert names == ["digits", "mnist", "cifar10", "inception", "inception"]


def test_a_published_network_from_a_file(tmp_path, monkeypatch):
    """DINOv2, two layers small: from the published names to features, by its name and the checksum of its file."""
    small = dinov2.DINOv2(width=8, depth=1, heads=2)
    params = small.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3)))["params"]
    path = tmp_path / "small.safetensors"
    content = safetensors.numpy.save({"x": np.zeros(3, np.float32)})
    path.write_bytes(content)
    source = published.Published("small", path.name, "", hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(extractors.DINOV2, "dinov2", (source, small))
    monkeypatch.setattr(dinov2, "from_torch", lambda tensors, module: jax.device_get(params))
    extractor = features.extractor("dinov2", (28, 28, 1), weights=path, cache_dir=tmp_path / "cache")
    assert (extractor.size, extractor.checksum) == (8, source.sha256)
    assert extractor.resize == "grey to RGB by repetition; 28x28 to 224x224, bicubic with antialiasing"
    given = jnp.asarray(images(2, 28, 28, 1))
    expected = small.apply({"params": params}, dinov2.preprocess(jnp.repeat(given, 3, axis=-1)))
    np.testing.assert_allclose(extractor.features(given), expected, atol=1e-5)
    (tmp_path / "other.safetensors").write_bytes(content + b" ")
    with pytest.raises(ValueError, match=source.sha256):
        features.extractor("dinov2", (28, 28, 1), weights=tmp_path / "other.safetensors", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("incepton", {}, "features: 'incepton' is not one of pixels, .*; did you mean 'inception'?"),
        ("pixels", {"weights": "x.pth"}, "weights: x.pth, but pixels takes none; inception, dinov2 and efficientnet-lite0 do"),
    ],
)
def test_bad_input(name, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        features.extractor(name, (8, 8, 1), **options)
    assert "\n" not in str(caught.value)
