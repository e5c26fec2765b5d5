"""The inputs of feature networks: Pillow's, clean-fid's and PyTorch's resizes, and TensorFlow 1's by its definition.

`goldens/cleanfid_resize.npz` holds what clean-fid, on Pillow and PyTorch, made of random images: every seventh pixel, the
first row and the last column at 299 pixels; 16 pixels whole. All of it is clipped to [0, 255]. Of the image of 512 times
400 pixels only the first rows and last columns are kept, those which the kept results depend on.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan.evaluation.features import resize

GOLDENS = Path(__file__).parent / "goldens"
SIZES = ("32x32", "64x48", "512x400")
KINDS = ("bicubic", "bilinear", "lanczos", "box")
ACCURATE = 5e-7 * 255  # grey levels


@pytest.fixture(scope="module")
def goldens():
    with np.load(GOLDENS / "cleanfid_resize.npz", allow_pickle=False) as file:
        return dict(file)


def check_parts(goldens, key, image):
    """Compares what was kept of an image of 299 pixels."""
    parts = {"sub_every7": image[::7, ::7], "row0": image[0], "col298": image[:, 298]}
    kept = [part for part in parts if f"{key}/{part}" in goldens]
    assert len(kept) >= 2
    for part in kept:
        np.testing.assert_allclose(np.clip(parts[part], 0.0, 255.0), goldens[f"{key}/{part}"], rtol=0, atol=ACCURATE)


@pytest.mark.parametrize("size", SIZES)
def test_clean(goldens, size):
    x = np.asarray(resize.clean(goldens[f"{size}/uint8"][None]))
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (-1.0, 127 / 128)  # clipped, since bicubic overshoots
    check_parts(goldens, f"{size}/clean", x[0] * 128.0 + 128.0)


@pytest.mark.parametrize("size", SIZES)
def test_half_pixel(goldens, size):
    check_parts(goldens, f"{size}/half_pixel", (np.asarray(resize.half_pixel(goldens[f"{size}/uint8"][None])[0]) + 1.0) * 127.5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_pillow_resize_at_299_pixels(goldens, size, kind):
    check_parts(goldens, f"{size}/{kind}", np.asarray(resize.pillow_resize(goldens[f"{size}/uint8"][None], 299, 299, kind)[0]))


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("kind", KINDS)
def test_pillow_resize_at_16_pixels(goldens, size, kind):
    x = np.asarray(resize.pillow_resize(goldens[f"{size}/uint8"][None], 16, 16, kind)[0])
    np.testing.assert_allclose(np.clip(x, 0.0, 255.0), goldens[f"{size}/{kind}16"], rtol=0, atol=ACCURATE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [((32, 20), (224, 224)), ((30, 41), (7, 41)), ((9, 100), (9, 33)), ((3, 1), (5, 5))])
def test_pillow_resize_is_pillows(kind, sizes):
    """On floats of any sign, beyond the goldens: nothing is clipped, and sides that stay are left alone."""
    before, after = sizes
    x = np.random.default_rng(2).normal(size=before).astype(np.float32)
    expected = Image.fromarray(x).resize(after[::-1], Image.Resampling[kind.upper()])
    found = resize.pillow_resize(x[None, :, :, None], *after, kind)
    np.testing.assert_allclose(found[0, :, :, 0], np.asarray(expected), rtol=0, atol=2e-6)


def as_tensorflow(image):
    """TensorFlow 1's `resize_bilinear` of `[H, W, C]` to 299 pixels, one pixel at a time as its kernel goes."""
    for axis in (1, 0):
        x = np.moveaxis(image.astype(np.float32), axis, 0)
        rows = []
        for i in range(299):
            place = np.float32(i) * np.float32(len(x) / 299)
            low = int(place)
            high = min(low + 1, len(x) - 1)
            rows.append(x[low] + (x[high] - x[low]) * (place - np.float32(low)))
        image = np.moveaxis(np.stack(rows), 0, axis)
    return image


def test_tf1(goldens):
    with np.load(GOLDENS / "inception_fid.npz", allow_pickle=False) as file:
        images, expected = file["in32/uint8"], file["in32/tf1_resize"]  # torch-fidelity's, every other pixel of one channel
    found = np.asarray(resize.tf1(images))
    np.testing.assert_allclose(found[0, ::2, ::2, 0] * 128.0 + 128.0, expected, rtol=0, atol=ACCURATE)
    for size in SIZES:
        image = goldens[f"{size}/uint8"]
        found = np.asarray(resize.tf1(image[None]))[0] * 128.0 + 128.0
        np.testing.assert_allclose(found, as_tensorflow(image), rtol=0, atol=ACCURATE)


def test_the_pipelines_differ():
    x = np.random.default_rng(3).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    found = [np.asarray(pipeline(x)) for pipeline in (resize.tf1, resize.half_pixel, resize.clean)]
    assert min(abs(found[i] - found[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.01


@pytest.mark.parametrize("pipeline", [resize.tf1, resize.half_pixel, resize.clean], ids=lambda pipeline: pipeline.__name__)
def test_images_of_the_right_size_are_only_scaled(pipeline):
    x = np.random.default_rng(4).integers(0, 256, (1, 299, 299, 3), dtype=np.uint8)
    scaled = x / np.float32(127.5) - 1 if pipeline is resize.half_pixel else (x - np.float32(128)) / 128
    np.testing.assert_allclose(pipeline(x), scaled, rtol=0, atol=1e-6 if pipeline is resize.half_pixel else 0)


@pytest.mark.parametrize("pipeline", [resize.tf1, resize.half_pixel, resize.clean], ids=lambda pipeline: pipeline.__name__)
def test_bytes_and_floats_and_jit_agree(pipeline):
    x = np.random.default_rng(5).integers(0, 256, (2, 10, 12, 3), dtype=np.uint8)
    expected = pipeline(x)
    np.testing.assert_array_equal(pipeline(jnp.asarray(x, jnp.float32)), expected)
    np.testing.assert_allclose(jax.jit(pipeline)(x), expected, rtol=0, atol=1e-6)
    assert pipeline(jnp.asarray(x, jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 8, 8, 1), (1, 8, 8, 4), (1, 3, 8, 8), (1, 0, 8, 3)])
@pytest.mark.parametrize("pipeline", [resize.tf1, resize.half_pixel, resize.clean], ids=lambda pipeline: pipeline.__name__)
def test_other_shapes_are_refused(pipeline, shape):
    with pytest.raises(ValueError, match=r"^images: shape \(.*\), but it must be \[B, H, W, 3\]$"):
        pipeline(np.zeros(shape, np.uint8))


def test_other_arguments_are_refused():
    x = np.zeros((1, 4, 4, 2), np.uint8)
    with pytest.raises(ValueError, match=r"^images: shape \(4, 4, 2\), but it must be \[B, H, W, C\]$"):
        resize.pillow_resize(x[0], 8, 8)
    with pytest.raises(ValueError, match=r"^images: int32, but they must be uint8, or floats in \[0, 255\]$"):
        resize.pillow_resize(x.astype(np.int32), 8, 8)
    with pytest.raises(ValueError, match=r"^kind: 'nearest' is not one of bicubic, bilinear, lanczos, box$"):
        resize.pillow_resize(x, 8, 8, "nearest")
    with pytest.raises(ValueError, match=r"^width: 0, but it must be at least 1$"):
        resize.pillow_resize(x, 8, 0)
