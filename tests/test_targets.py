"""Images to look for: files, folders and arrays of any size and range arrive in [-1, 1], or are refused in one line."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxgan.core.units import Units
from jaxgan.latent.targets import read

SHAPE = (8, 8, 1)


def test_files_of_any_kind_arrive_as_networks_see_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(pixels).save(tmp_path / "same.png")
    Image.new("RGB", (40, 20), (255, 255, 255)).save(tmp_path / "white.jpg")
    np.savez(tmp_path / "three.npz", images=np.stack([pixels] * 3)[..., None])
    found = read([tmp_path / "same.png", tmp_path / "three.npz"], SHAPE, None)
    assert found.names == ("same.png", "three.npz[0]", "three.npz[1]", "three.npz[2]")
    np.testing.assert_allclose(found.images[0, ..., 0], pixels / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(found.images[0], found.images[3])
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "jaxgan"):
        folder = read(tmp_path, SHAPE, None)
    assert folder.names == ("same.png", "white.jpg")
    np.testing.assert_allclose(folder.images[1], 1.0, atol=0.02)
    told = "images: 1 of 2 fitted to 8x8x1: the central square, resized by Lanczos"
    assert [record.getMessage() for record in caplog.records] == [told]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_floats_of_a_pictures_range(low: float, high: float) -> None:
    share = np.linspace(0, 1, 128).reshape(2, 8, 8, 1)
    np.testing.assert_allclose(read(low + share * (high - low), SHAPE, None).images, 2 * share - 1, atol=1e-6)
    one = read((low + share * (high - low))[0], SHAPE, None)
    assert one.images.shape == (1, *SHAPE)
    without_channels = read((low + share * (high - low))[..., 0], SHAPE, None)
    assert without_channels.images.shape == (2, *SHAPE)


def test_fields_in_units_and_vectors() -> None:
    kelvin = Units("float32", (270.0,), (290.0,), "K")
    found = read(np.full((2, 4, 6, 1), 280.0), (4, 6, 1), kelvin)
    np.testing.assert_allclose(found.images, 0.0, atol=1e-6)
    points = np.array([[0.5, -2.0]])
    np.testing.assert_allclose(read(points, (2,), None).images, points)


@pytest.mark.parametrize(
    ("given", "shape", "told"),
    [
        ("nowhere.png", SHAPE, "IMAGE: nowhere.png does not exist"),
        (np.full((1, 8, 8, 1), np.nan), SHAPE, "images: values that are not finite; each must be a number"),
        (np.full((1, 8, 8, 1), 300.0), SHAPE, "images: values from 300 to 300, but pictures are floats"),
        (np.zeros((1, 3)), (2,), "images: of shape [1, 3], but the generator makes [2]"),
        (np.zeros((1, 9, 9, 1), np.uint8), (8, 4, 1), "images: of shape [9, 9, 1], but the generator makes [8, 4, 1]"),
        (np.array(["a"]), SHAPE, "images: <U1 [1], but it must be samples"),
        (np.zeros((1, 8, 8, 2), np.uint8), SHAPE, "images: of shape [8, 8, 2], but the generator makes [8, 8, 1]"),
    ],
)
def test_mistakes(given: Any, shape: tuple[int, ...], told: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read(given, shape, None)
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    np.savez(tmp_path / "other.npz", labels=np.zeros(3))
    (tmp_path / "empty").mkdir()
    for name, told in (
        ("text.png", "cannot be read as a picture"),
        ("other.npz", "holds labels, but it must hold an array images"),
        ("empty", "it holds no .png, .jpg, .jpeg, .webp"),
    ):
        with pytest.raises(ValueError, match=told):
            read(tmp_path / name, SHAPE, None)
    with pytest.raises(ValueError, match=r"makes samples of shape \[2\]; give an \.npz"):
        read(tmp_path / "text.png", (2,), None)
