"""MNIST, Fashion-MNIST and CIFAR-10 themselves, from the files named by JAXGAN_REAL_DATA."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from jaxgan import data

ROOT = Path(os.environ.get("JAXGAN_REAL_DATA", ""))
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("JAXGAN_REAL_DATA"), reason="JAXGAN_REAL_DATA names no folder"),
]


@pytest.fixture(autouse=True, scope="module")
def places(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("tfds")))
        yield


def idx(path, offset):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)


def rows(images, labels):
    return np.sort(np.column_stack([images.reshape(len(images), -1), labels]).astype(np.uint8).view("S785").ravel())


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_prepared_sets_hold_every_original_image(name, tmp_path):
    data.prepare(name, source=ROOT / name)
    for split, prefix, size in (("train", "train", 60_000), ("test", "t10k", 10_000)):
        images, labels, _ = data.arrays(name, split=split)
        assert np.bincount(labels).min() > size // 12
        pixels = idx(ROOT / name / f"{prefix}-images-idx3-ubyte.gz", 16).reshape(size, 784)
        np.testing.assert_array_equal(
            rows(images, labels), rows(pixels, idx(ROOT / name / f"{prefix}-labels-idx1-ubyte.gz", 8))
        )


def test_mnist_is_not_taken_for_fashion_mnist(tmp_path):
    with pytest.raises(ValueError, match="but the original has"):
        data.prepare("fashion_mnist", source=ROOT / "mnist", data_dir=tmp_path)


def test_a_truncated_original_is_refused(tmp_path):
    for path in (ROOT / "mnist").iterdir():
        whole = path.read_bytes()
        (tmp_path / path.name).write_bytes(whole[:-1] if path.name.startswith("t10k-images") else whole)
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz holds 1648876 bytes, but the original has 1648877"):
        data.prepare("mnist", source=tmp_path, data_dir=tmp_path / "tfds")
    assert not (tmp_path / "tfds").exists()


def test_stacked_mnist_has_a_thousand_modes():
    data.prepare("mnist", source=ROOT / "mnist")
    _, labels, class_names = data.arrays("stacked_mnist")
    assert len(labels) == 128_000
    counts = np.bincount(labels, minlength=len(class_names))
    # MNIST's frequencies make it 95 (555) to 182 (111) a mode; five standard deviations of 10 and 14 beyond.
    assert counts.min() >= 45
    assert counts.max() <= 252


@pytest.mark.skipif(not (ROOT / "cifar-10-batches-bin").is_dir(), reason="no cifar-10-batches-bin there")
def test_cifar10():
    data.prepare("cifar10", source=ROOT)
    images, labels, class_names = data.arrays("cifar10", split="test")
    assert (images.shape, class_names[3]) == ((10_000, 32, 32, 3), "cat")
    assert np.bincount(labels).tolist() == [1000] * 10
    records = np.fromfile(ROOT / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    ours = np.column_stack([labels, images.transpose(0, 3, 1, 2).reshape(10_000, -1)]).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, records))
