"""Folders of pictures: every mode Pillow reads, the crop and resize, and files that are none."""

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxgan import data
from jaxgan.data import fit

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def read(folder, **options):
    return data.arrays(f"folder:{folder}", **options)


def test_sub_folders_are_classes_and_order_is_by_path(tmp_path, caplog):
    pictures = {name: noise(6, 6, 3) for name in ("dogs/b.png", "cats/z.png", "dogs/a/deep.png", "cats/B.png")}
    for name, array in pictures.items():
        save(tmp_path / name, array)
    (tmp_path / ".hidden").write_text("ignored")
    images, labels, class_names = read(tmp_path)
    assert class_names == ("cats", "dogs")
    assert labels.tolist() == [0, 0, 1, 1]
    for image, name in zip(images, sorted(pictures), strict=True):
        np.testing.assert_array_equal(image, pictures[name])
    save(tmp_path / "loose.png", noise(6, 6, 3))
    with caplog.at_level(logging.WARNING, "jaxgan"):
        _, labels, class_names = read(tmp_path)
    assert class_names == ("cats", "dogs")
    assert labels.tolist() == [0, 0, 1, 1]
    assert "left out 1 beside the class folders: loose.png" in caplog.text
    for name in ("loose2.png", "loose3.png"):  # too many to be strays
        save(tmp_path / name, noise(6, 6, 3))
    _, labels, class_names = read(tmp_path)
    assert class_names == ()
    assert labels.tolist() == [0] * 7
    assert "no classes: 3 pictures lie beside the sub-folders" in caplog.text


def test_formats(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 16).astype(np.uint8)[:, None, None], (16, 16, 3)).copy()
    save(tmp_path / "a.jpg", smooth, quality=95)
    save(tmp_path / "b.png", smooth)
    save(tmp_path / "c.webp", smooth, lossless=True)
    save(tmp_path / "d.JPEG", smooth, quality=95)
    images, _, _ = read(tmp_path)
    assert images.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(images[1], smooth)
    np.testing.assert_array_equal(images[2], smooth)
    assert np.abs(images[[0, 3]].astype(int) - smooth).max() <= 3


def test_all_grey_makes_one_channel(tmp_path):
    save(tmp_path / "8.png", noise(5, 5))
    levels = np.array([[0, 257, 65535], [128, 129, 300], [32768, 65278, 65279]], np.uint16)
    save(tmp_path / "16.png", np.pad(levels, 1))
    images, _, _ = read(tmp_path)
    assert images.shape == (2, 5, 5, 1)
    np.testing.assert_array_equal(images[0, 1:4, 1:4, 0], [[0, 1, 255], [0, 1, 1], [128, 254, 254]])
    assert read(tmp_path, channels=3)[0].shape == (2, 5, 5, 3)
    save(tmp_path / "colour.png", noise(5, 5, 3))
    assert read(tmp_path)[0].shape == (3, 5, 5, 3)


def test_modes(tmp_path):
    red = np.zeros((4, 4, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    half = np.dstack([red, np.full((4, 4), 51, np.uint8)])  # a fifth of it covers the ground
    save(tmp_path / "a.png", half)
    Image.fromarray(red).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "b.png")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "c.png", transparency=1)
    Image.new("1", (4, 4), 1).save(tmp_path / "d.png")
    Image.fromarray(half).convert("LA").save(tmp_path / "e.png")
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "f.jpg", quality=100)
    images, _, _ = read(tmp_path)
    for image, want in zip(
        images, [(244, 204, 204), (200, 0, 0), (255,) * 3, (255,) * 3, (216,) * 3, (254, 0, 0)], strict=True
    ):
        assert np.abs(image.astype(int) - want).max() <= 2
    with_alpha, _, _ = read(tmp_path, channels=4)
    np.testing.assert_array_equal(with_alpha[0], half)
    assert with_alpha[2, ..., 3].max() == 0
    assert with_alpha[1, ..., 3].min() == 255
    grey, _, _ = read(tmp_path, channels=1)
    assert np.abs(grey[0].astype(int) - (0.299 * 244 + 0.701 * 204)).max() <= 1


def test_orientation_is_honoured(tmp_path):
    array = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    for form in ("png", "webp"):
        save(tmp_path / form / f"a.{form}", array, exif=exif, lossless=True)
        images, _, _ = read(tmp_path / form)
        np.testing.assert_array_equal(images[0], np.rot90(array, -1))


def test_the_centre_is_cropped_and_reduced_without_aliasing(tmp_path):
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 100
    wide[:, 20:60:2] = 200  # columns alternate: sampling every fourth would show one of the two
    save(tmp_path / "wide.png", wide)
    images, _, _ = read(tmp_path, image_size=10)
    assert images.shape == (1, 10, 10, 3)
    assert np.abs(images[0, :, 2:8].astype(int) - 150).max() <= 3
    tall = np.swapaxes(wide, 0, 1)
    np.testing.assert_array_equal(fit.picture(Image.fromarray(tall), 10, 3), np.swapaxes(images[0], 0, 1))


def test_mixed_sizes_need_an_image_size(tmp_path):
    for side in (5, 7, 9):
        save(tmp_path / f"{side}.png", noise(side, 7, 3))
    with pytest.raises(ValueError, match=r"^image_size: None, but .* holds 3 sizes, 5x7 to 9x7; give one$"):
        read(tmp_path)
    assert read(tmp_path, image_size=8)[0].shape == (3, 8, 8, 3)


def bomb():
    """A PNG whose header promises 10^10 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.fixture
def broken(tmp_path):
    """Eight good pictures and eight files that are none."""
    for number in range(8):
        save(tmp_path / f"good{number}.png", noise(16, 16, 3))
    whole = (tmp_path / "good0.png").read_bytes()
    (tmp_path / "a-empty.png").write_bytes(b"")
    (tmp_path / "b-notes.txt").write_text("no picture")
    (tmp_path / "c-truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "d-corrupt.png").write_bytes(whole[:200] + bytes(200) + whole[400:])
    (tmp_path / "e-bomb.png").write_bytes(bomb())
    jpeg = save(tmp_path / "f-truncated.jpg", noise(16, 16, 3)).read_bytes()
    (tmp_path / "f-truncated.jpg").write_bytes(jpeg[:-300])
    (tmp_path / "g-two\nlines.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (16, 16)).save(tmp_path / "h-other-format.gif")
    return tmp_path


@pytest.mark.parametrize("image_size", [None, 8])
def test_unreadable_files_are_left_out_with_one_warning(broken, image_size, caplog):
    with caplog.at_level(logging.WARNING, "jaxgan"):
        dataset = data.load(f"folder:{broken}", image_size=image_size)
    assert dataset.size == 8
    (record,) = caplog.records
    line = record.getMessage()
    assert "skipped 8 that cannot be read as an image" in line
    assert "and 3 more" in line
    assert "\n" not in line


def test_streaming_replaces_a_picture_that_proves_broken(broken, caplog):
    good, _, _ = read(broken)
    caplog.clear()
    dataset = data.load(f"folder:{broken}", image_size=16, stream=True)
    with caplog.at_level(logging.WARNING, "jaxgan"):
        first = dataset.batches(0, dataset.size)(0)
        again = dataset.batches(0, dataset.size)(0)
    named = " ".join(record.getMessage() for record in caplog.records)
    assert "a-empty" in named
    assert "c-truncated" in named
    np.testing.assert_array_equal(first["image"], again["image"])
    seen = {row.tobytes() for row in np.round((np.asarray(first["image"][0]) + 1) * 127.5).astype(np.uint8)}
    assert seen == {image.tobytes() for image in good}


def test_streamed_folder_equals_resident_folder(tmp_path):
    for number in range(20):
        save(tmp_path / f"{number % 3}" / f"{number}.png", noise(9, 12, 3))
    resident, streamed = (data.load(f"folder:{tmp_path}", image_size=8, stream=stream) for stream in (False, True))
    assert resident[:5] == streamed[:5]
    left, right = (dataset.batches(1, 7)(11, 2) for dataset in (resident, streamed))
    np.testing.assert_array_equal(left["image"], right["image"])
    np.testing.assert_array_equal(left["label"], right["label"])


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no readable PNG, JPEG or WebP image$"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no readable PNG, JPEG or WebP image: a\.png$"):
        read(tmp_path)
    whole = save(tmp_path / "a.png", noise(16, 16, 3)).read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:300])
    for image_size in (None, 8):
        with pytest.raises(ValueError, match="holds no readable"):
            read(tmp_path, image_size=image_size)
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        read(tmp_path / "none")
    with pytest.raises(ValueError, match=r"a\.png is a file"):
        read(tmp_path / "a.png")
    with pytest.raises(ValueError, match="has train only"):
        read(tmp_path, split="test")


def test_padding_from_28_to_32():
    images = noise(3, 28, 28, 1)
    padded = fit.arrays(images, 32, None)
    np.testing.assert_array_equal(padded[:, 2:30, 2:30], images)
    assert padded.sum() == images.sum()
    assert fit.arrays(images, 28, 1) is images
