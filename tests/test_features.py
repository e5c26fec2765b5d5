import hashlib
import json
import logging
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxgan import data
from jaxgan.evaluation import features
from jaxgan.evaluation.features import cache, stacked, training
from jaxgan.evaluation.features import classifiers as module
from jaxgan.evaluation.metrics.modes import mode_coverage_floor

# The bundled 8x8 digits, 1,400 to learn from and 397 to be judged by, and a smaller network than the library's.
DIGITS = module.TRAININGS["digits"]._replace(widths=(16, 32), features=24, epochs=8, learning_rate=1e-2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(autouse=True)
def row(monkeypatch):
    monkeypatch.setitem(module.TRAININGS, "digits", DIGITS)


@pytest.fixture(scope="module")
def digits(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.TRAININGS, "digits", DIGITS)
        return features.classifier("digits", cache_dir=folder)


@pytest.fixture
def kept(folder, digits, tmp_path):
    """A cache of its own, with the trained digits in it."""
    place = tmp_path / "classifiers"
    place.mkdir()
    for path in (folder / "classifiers").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place / "digits-0.safetensors"


@pytest.fixture
def untrained(monkeypatch):
    """Training becomes an error, so that what comes can only have been read."""

    def train(*_, **__):
        raise AssertionError("trained anew")

    monkeypatch.setattr(module, "train", train)


def equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b))


def test_it_learns_the_digits_that_it_is_judged_by(digits):
    images, labels, _ = data.arrays("digits", split="train[1400:]")
    assert digits.accuracy == np.mean(features.predict(digits, images) == labels)
    # 95.0 to 96.7 % with the seeds 0 to 3; the last digits are of other writers than those before.
    assert digits.accuracy > 0.92


def test_a_residual_network_learns_and_is_kept_without_its_normalisations(tmp_path, monkeypatch):
    of_residual = {
        "widths": (16, 16, 32, 32),
        "features": 32,
        "network": "residual",
        "optimizer": "muon",
        "learning_rate": 0.03,
    }
    monkeypatch.setitem(module.TRAININGS, "digits", DIGITS._replace(**of_residual))
    trained = features.classifier("digits", seed=1, cache_dir=tmp_path)
    assert trained.accuracy > 0.92
    assert {name for name in trained.params if name.endswith("_norm")} == set()
    assert trained.features(jnp.zeros((2, 8, 8, 1))).shape == (2, 32)
    kept = features.classifier("digits", seed=1, cache_dir=tmp_path)
    assert kept.checksum == trained.checksum
    assert equal(kept.params, trained.params)


def test_folding_normalisations_leaves_the_function_as_it_is():
    of = training.Residual((4, 6, 8, 8), 10, normed=True)
    keys = iter(jax.random.split(jax.random.key(2), 40))
    images = jax.random.uniform(next(keys), (3, 8, 8, 2), minval=-1.0)
    variables = jax.tree.map(lambda leaf: leaf + jax.random.uniform(next(keys), leaf.shape), of.init(next(keys), images))
    params = training.folded(variables["params"], variables["batch_stats"])
    for expected, found in zip(
        of.apply(variables, images), of.clone(normed=False).apply({"params": params}, images), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(caplog):
    short, dataset = DIGITS._replace(epochs=2, batch_size=300), data.load("digits")
    with caplog.at_level(logging.DEBUG, "jaxgan"):
        first, second = (training.train(short, dataset, name="digits", seed=3) for _ in range(2))
    told = [record.message for record in caplog.records if record.module == "training"]  # reading the data may be told too
    epochs = [message.partition(", loss")[0] for message in told]  # one line each
    assert epochs == 2 * ["classifier digits: epoch 1 of 2", "classifier digits: epoch 2 of 2"]
    assert equal(first, second)
    assert not equal(first, training.initial(short, jax.random.split(jax.random.key(3))[0]))
    assert not equal(first, training.train(short._replace(epochs=1), dataset, name="digits", seed=4))


def test_logits_and_features_are_pure_functions_of_images(digits):
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, 1)), jnp.float32)
    assert digits.logits(images).shape == (5, 10)
    assert digits.features(images).shape == (5, 24)
    # Compiled or not, alone or among others: equal to float32's rounding.
    np.testing.assert_allclose(jax.jit(digits.logits)(images), digits.logits(images), atol=1e-4)
    np.testing.assert_allclose(digits.logits(images[2:3])[0], digits.logits(images)[2], atol=1e-4)
    last = digits.params["logits"]
    np.testing.assert_allclose(digits.features(images) @ last["kernel"] + last["bias"][None], digits.logits(images), atol=1e-4)


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8, 1), np.uint8), np.zeros((2, 9, 8, 1), np.float32)])
def test_logits_refuse_other_pixels_and_shapes(digits, images):
    with pytest.raises(ValueError, match=r"^images: .* but digits takes floats in \[-1, 1\] of shape \(B, 8, 8, 1\)$"):
        digits.logits(images)


def test_a_shift_moves_whole_images_and_brings_in_black():
    images = jnp.arange(1.0, 17.0).reshape(1, 4, 4, 1) * jnp.ones((200, 1, 1, 1))
    moved = np.asarray(training.shifted(jax.random.key(0), images, 1))[..., 0]
    padded = np.pad(np.arange(1.0, 17.0).reshape(4, 4), 1, constant_values=-1)
    windows = {padded[i : i + 4, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    # Each of nine windows has a chance of (8 / 9) ** 200, below 1e-10, to be missed.
    assert {image.astype(np.float64).tobytes() for image in moved} == windows


def test_a_kept_classifier_is_read_and_not_trained(kept, digits, untrained):
    read = features.classifier("digits", cache_dir=kept.parent.parent)
    assert equal(read.params, digits.params)
    assert (read.accuracy, read.checksum, read.shape) == (digits.accuracy, digits.checksum, (8, 8, 1))
    images = jnp.zeros((1, 8, 8, 1))
    np.testing.assert_array_equal(read.logits(images), digits.logits(images))


def test_the_file_says_what_it_is(kept, digits):
    content = kept.read_bytes()
    assert digits.checksum == hashlib.sha256(content).hexdigest()
    assert kept.with_name("digits-0.safetensors.sha256").read_text() == f"{digits.checksum}  digits-0.safetensors\n"
    with safetensors.safe_open(kept, "numpy") as file:
        about = json.loads(file.metadata()["jaxgan"])
        assert {"conv0/kernel", "logits/bias"} <= set(file.keys())
    assert (about["name"], about["seed"], about["accuracy"]) == ("digits", 0, digits.accuracy)
    assert about["training"]["widths"] == [16, 32]
    assert about["versions"]["jax"] == jax.__version__
    assert cache.packed(cache.read(kept).params, about) == (content, digits.checksum)  # the same bytes, always


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(flip(path.read_bytes())),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b""),
        lambda path: Path(f"{path}.sha256").write_text("0" * 64 + "  digits-0.safetensors\n"),
        lambda path: Path(f"{path}.sha256").write_text(""),
        lambda path: Path(f"{path}.sha256").write_bytes(b"\xff\xfe"),
        lambda path: Path(f"{path}.sha256").unlink(),
    ],
)
def test_damage_is_one_line_with_the_file_and_its_checksum(kept, damage):
    damage(kept)
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    with pytest.raises(cache.Damaged) as caught:
        cache.read(kept)
    assert str(caught.value).startswith(f"{kept}: ")
    assert str(caught.value).endswith(f" it is {found}") or str(caught.value).endswith(f" its sha256 is {found}")
    assert "\n" not in str(caught.value)


def test_a_damaged_cache_is_trained_anew(kept, digits, caplog, monkeypatch):
    whole, seal = kept.read_bytes(), Path(f"{kept}.sha256").read_text()
    monkeypatch.setattr(module, "train", lambda *_, **__: digits.params)
    kept.write_bytes(flip(whole))
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    again = features.classifier("digits", cache_dir=kept.parent.parent)
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == f"{kept}: its sha256 must be {digits.checksum}, but it is {found}; it is trained anew"
    assert again.checksum == digits.checksum
    assert (kept.read_bytes(), Path(f"{kept}.sha256").read_text()) == (whole, seal)


def test_a_wrong_checksum_is_told_with_both_and_refused_without_the_data(kept, digits, monkeypatch):
    kept.write_bytes(flip(kept.read_bytes()))
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    monkeypatch.setitem(module.TRAININGS, "digits", DIGITS._replace(data="mnist"))
    with pytest.raises(ValueError, match="its sha256 must be") as caught:
        features.classifier("digits", data_dir=kept.parent, cache_dir=kept.parent.parent)
    message = str(caught.value)
    assert message.startswith(f"{kept}: its sha256 must be {digits.checksum}, but it is {found}; it cannot be trained anew")
    assert "jaxgan data prepare mnist" in message
    assert "\n" not in message


def test_without_the_data_it_says_how_to_prepare_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="jaxgan data prepare mnist"):
        features.classifier("mnist", data_dir=tmp_path, cache_dir=tmp_path)
    assert not (tmp_path / "classifiers").exists()


def test_another_training_is_not_taken_for_this_one(kept, digits, caplog, monkeypatch):
    monkeypatch.setitem(module.TRAININGS, "digits", DIGITS._replace(epochs=9))
    monkeypatch.setattr(module, "train", lambda *_, **__: digits.params)
    again = features.classifier("digits", cache_dir=kept.parent.parent)
    assert "trained in another way" in caplog.text
    assert again.checksum != digits.checksum
    caplog.clear()
    assert features.classifier("digits", cache_dir=kept.parent.parent).checksum == again.checksum
    assert not caplog.records


def test_a_file_of_another_seed_or_shape_is_not_taken_either(kept, digits, caplog, monkeypatch):
    monkeypatch.setattr(module, "train", lambda *_, **__: digits.params)
    about = cache.read(kept).about
    for params, words in ((digits.params, about | {"seed": 1}), ({"conv0": digits.params["conv0"]}, about)):
        cache.write(kept, *cache.packed(params, words))
        caplog.clear()
        assert features.classifier("digits", cache_dir=kept.parent.parent).checksum == digits.checksum
        assert "trained in another way" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"not safetensors at all",
        safetensors.numpy.save({"a": np.zeros(3, np.float32)}),
        safetensors.numpy.save({"a": np.zeros(3, np.float32)}, {"jaxgan": "[]"}) + b"more",
        safetensors.numpy.save({"a": np.zeros(3, np.float32)}, {"jaxgan": "{"}),
    ],
)
def test_a_right_checksum_of_a_wrong_file(tmp_path, content):
    path = tmp_path / "x.safetensors"
    cache.write(path, content, hashlib.sha256(content).hexdigest())
    with pytest.raises(cache.Damaged, match=r"x\.safetensors: its checksum is right, but it holds no classifier"):
        cache.read(path)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_write_that_fails_leaves_what_was_there_or_a_file_that_is_refused(kept, fails_at, monkeypatch):
    before = sorted(path.name for path in kept.parent.iterdir())
    whole, calls, replace = kept.read_bytes(), [], os.replace

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == fails_at:
            raise OSError(28, "No space left on device")
        replace(*arguments)

    monkeypatch.setattr(os, "replace", failing)
    content, checksum = cache.packed({"a": np.zeros(3, np.float32)}, {})
    with pytest.raises(OSError, match="No space left"):
        cache.write(kept, content, checksum)
    assert sorted(path.name for path in kept.parent.iterdir()) == before  # no temporary file stays
    if fails_at == 1:
        assert kept.read_bytes() == whole
        cache.read(kept)
    else:
        with pytest.raises(cache.Damaged):
            cache.read(kept)


def test_a_cache_that_cannot_be_written_costs_a_warning(digits, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "train", lambda *_, **__: digits.params)
    (tmp_path / "classifiers").write_text("a file where the folder should be")
    found = features.classifier("digits", cache_dir=tmp_path)
    assert found.checksum == digits.checksum
    assert "cache: cannot write" in caplog.text


def test_names_and_seeds_are_checked_first():
    with pytest.raises(
        ValueError, match=r"^name: 'mnits' is not one of digits, mnist, fashion_mnist, cifar10; did you mean 'mnist'\?$"
    ):
        features.classifier("mnits")
    with pytest.raises(ValueError, match="seed: -1, but it must be from 0 to 4294967295"):
        features.classifier("digits", seed=-1)


def test_a_network_for_other_images_is_refused():
    with pytest.raises(
        ValueError, match=r"x: digits has images \(8, 8, 1\) of 10 classes, but the network takes images \(28, 28, 1\)"
    ):
        training.train(module.TRAININGS["mnist"], data.load("digits"), name="x", seed=0)


def brightest(images: jax.Array) -> jax.Array:
    """A classifier one can check by eye: the digit is the row of the brightest line."""
    return images.mean(axis=(2, 3))[:, :10]


LINES = features.Classifier("lines", (28, 28, 1), 10, brightest, brightest, {}, 1.0, "", lambda _, x: (x, x))


def line_images(numbers: np.ndarray) -> np.ndarray:
    """Stacked images `[N, 28, 28, 3]` uint8 of the modes given."""
    images = np.zeros((len(numbers), 28, 28, 3), np.uint8)
    for channel, power in enumerate((100, 10, 1)):
        images[np.arange(len(numbers)), numbers // power % 10, :, channel] = 200
    return images


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["uint8", "float32", "bfloat16", "device"])
def test_modes_are_the_three_digits_in_order(kind, padded):
    numbers = np.random.default_rng(0).permutation(1000)[:130]
    images = line_images(numbers)
    if padded:
        images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    if kind != "uint8":
        images = images.astype(np.float32) / 127.5 - 1
    if kind == "bfloat16":
        images = images.astype(jnp.bfloat16)
    given = jnp.asarray(images) if kind == "device" else images
    modes = stacked.stacked_mnist_modes(given, LINES, batch_size=50)  # two batches, and a rest
    assert modes.dtype == np.int32
    np.testing.assert_array_equal(modes, numbers)


def test_coverage_of_images():
    numbers = np.arange(1500) % 750
    found = features.stacked_mnist_coverage(line_images(numbers), LINES)
    assert found == (750.0, pytest.approx(np.log(1000 / 750)), 1500)
    half = np.repeat([1 / 750, 0.0], [750, 250])
    assert features.stacked_mnist_coverage(line_images(numbers), LINES, weights=half).reverse_kl == pytest.approx(0, abs=1e-12)


def test_values_beyond_the_range_are_clipped_as_in_a_picture():
    images = line_images(np.array([5])).astype(np.float32) / 127.5 - 1
    images[0, 5, :, 2] = 1.0
    images[0, 7, :14, 2] = 2.5  # over half its length: brighter than line 5 unless clipped
    assert stacked.stacked_mnist_modes(images, LINES).tolist() == [5]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 28, 28, 1), np.uint8), r"images: shape \(4, 28, 28, 1\), but it must be \[N, 28, 28, 3\]"),
        (np.zeros((4, 29, 28, 3), np.uint8), r"images: shape \(4, 29, 28, 3\)"),
        (np.zeros((4, 26, 26, 3), np.uint8), r"images: shape \(4, 26, 26, 3\)"),
        (np.zeros((28, 28, 3), np.uint8), r"images: shape \(28, 28, 3\)"),
        (np.zeros((4, 28, 28, 3), np.int32), "images: int32, but they must be uint8, or floats"),
        (np.full((1, 28, 28, 3), np.nan), "images: 2352 of 2352 values are not finite"),
        (np.linspace(0, 255, 2352).reshape(1, 28, 28, 3), r"images: floats from 0 to 255, but they must be in \[-1, 1\]"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(images, message):
    with pytest.raises(ValueError, match=message) as caught:
        stacked.stacked_mnist_modes(images, LINES)
    assert "\n" not in str(caught.value)


def test_too_few_images_and_the_wrong_judge_are_refused():
    with pytest.raises(ValueError, match="n: 999, but 1000 modes need at least as many samples"):
        features.stacked_mnist_coverage(np.zeros((999, 28, 28, 3), np.uint8), LINES)
    with pytest.raises(ValueError, match="classifier: lines has 3 channels and 10 classes, but digits have 1 and 10"):
        stacked.stacked_mnist_modes(np.zeros((1, 28, 28, 3), np.uint8), LINES._replace(shape=(28, 28, 3)))


def test_no_images_have_no_modes():
    assert stacked.stacked_mnist_modes(np.zeros((0, 28, 28, 3), np.uint8), LINES).shape == (0,)


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("JAXGAN_REAL_DATA"), reason="JAXGAN_REAL_DATA names no folder")
def test_fashion_mnist_is_learnt_in_one_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    data.prepare("fashion_mnist", source=Path(os.environ["JAXGAN_REAL_DATA"]) / "fashion_mnist")
    monkeypatch.setitem(module.TRAININGS, "fashion_mnist", module.TRAININGS["fashion_mnist"]._replace(epochs=1))
    extractor = features.extractor("fashion_mnist", (28, 28, 1))
    assert extractor.accuracy > 0.8  # 91.3 % after ten epochs
    assert extractor.size == 128


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("JAXGAN_REAL_DATA"), reason="JAXGAN_REAL_DATA names no folder")
def test_mnist_and_all_the_modes_of_stacked_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    data.prepare("mnist", source=Path(os.environ["JAXGAN_REAL_DATA"]) / "mnist")
    judge = features.classifier("mnist")
    assert judge.accuracy >= 0.992
    images, labels, _ = data.arrays("stacked_mnist", split="test")
    modes = features.stacked_mnist_modes(images, judge)
    # Three digits right at once: at least 1 - 3 (1 - 0.992).
    assert np.mean(modes == labels) >= 0.976
    padded = np.pad(images[:3000], ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_array_equal(features.stacked_mnist_modes(padded, judge), modes[:3000])
    found = features.stacked_mnist_coverage(images, judge)
    counts = np.bincount(data.arrays("mnist", split="test")[1], minlength=10) / 10_000
    drawn = np.einsum("i,j,k->ijk", counts, counts, counts).ravel()
    floor = mode_coverage_floor(1000, len(images), drawn=drawn)
    assert found.modes == 1000
    assert abs(found.reverse_kl - floor.mean.reverse_kl) < 4 * floor.deviation.reverse_kl  # what chance alone does
