"""Pictures hold the pixels they were given; files appear whole or not at all."""

import math
import os
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxgan import pictures
from jaxgan.core import losses
from jaxgan.pictures import moving
from jaxgan.pictures.series import series


@pytest.fixture(scope="module")
def digits():
    return load_digits().images[..., None].astype(np.float32) / 8.0 - 1.0  # [1797, 8, 8, 1] in [-1, 1], 17 levels


def noise(*shape):
    return np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)


def test_to_uint8_rounds_clips_and_inverts_the_usual_scaling():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(pictures.to_uint8(values.astype(np.float32) / 127.5 - 1.0), values)
    np.testing.assert_array_equal(
        pictures.to_uint8([-2.0, -1.0, 0.0, 0.9999, 1.0, 9.0, np.nan]), [0, 0, 128, 255, 255, 255, 128]
    )
    assert pictures.to_uint8(values) is values


def test_grid_places_every_pixel(digits):
    x = digits[:7]
    picture = pictures.grid(x, columns=3, scale=2, padding=1)
    assert (picture.mode, picture.size) == ("L", (3 * 17 + 1, 3 * 17 + 1))
    pixels = np.asarray(picture)
    for i in range(7):
        top, left = 1 + 17 * (i // 3), 1 + 17 * (i % 3)
        tile = pixels[top : top + 16, left : left + 16]
        np.testing.assert_array_equal(tile[::2, ::2], pictures.to_uint8(x[i, :, :, 0]))
        np.testing.assert_array_equal(tile[::2], tile[1::2])
        np.testing.assert_array_equal(tile[:, ::2], tile[:, 1::2])
    assert len(np.unique(pixels[35:, 18:])) == 1  # the two places left over


@pytest.mark.parametrize(("side", "count", "size"), [(8, 64, 402), (28, 64, 466), (64, 9, 200), (300, 1, 304)])
def test_grid_is_square_and_small_images_grow_to_be_seen(side, count, size):
    assert pictures.grid(noise(count, side, side, 1)).size == (size, size)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "RGB"), (3, "RGB"), (4, "RGBA")])
def test_grid_of_each_number_of_channels(channels, mode):
    x = noise(2, 50, 60, channels)
    picture = pictures.grid(x, columns=2)
    assert picture.mode == mode
    shown = np.asarray(picture.crop((2, 2, 62, 52))).reshape(50, 60, -1)
    np.testing.assert_array_equal(shown[..., :channels], pictures.to_uint8(x[0]))
    if channels == 2:
        assert not shown[..., 2].any()


def test_strip_is_one_row(digits):
    assert pictures.strip(digits[:9]).size == (9 * 50 + 2, 52)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((8, 8, 1), {}, r"images: of shape \[8, 8, 1\]"),
        ((2, 8, 8, 5), {}, r"images: of shape \[2, 8, 8, 5\]"),
        ((0, 8, 8, 1), {}, r"images: of shape \[0, 8, 8, 1\]"),
        ((2, 8, 8, 1), {"columns": 0}, "columns: 0"),
        ((2, 8, 8, 1), {"scale": 0}, "scale: 0"),
        ((2, 8, 8, 1), {"padding": -1}, "padding: -1"),
    ],
)
def test_what_is_no_grid_is_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        pictures.grid(np.zeros(shape), **options)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_write_keeps_grey_pixels(digits, tmp_path, suffix):
    picture = pictures.grid(digits[:4])
    path = tmp_path / f"digits{suffix}"
    pictures.write(picture, path)
    with Image.open(path) as read:
        np.testing.assert_array_equal(np.asarray(read.convert("L")), np.asarray(picture))
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(digits, tmp_path):
    path = tmp_path / "digits.png"
    pictures.write(pictures.grid(digits[:4]), path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="cannot write mode"):
        pictures.write(Image.new("HSV", (4, 4)), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["digits.png"]


def test_paths_that_will_not_do(digits, tmp_path):
    picture = pictures.grid(digits[:1])
    (tmp_path / "folder.png").mkdir()
    for name, error, message in [
        ("a.bmp", ValueError, r"a\.bmp, but its suffix must be one of \.png, \.webp, \.gif"),
        ("a", ValueError, "suffix must be one of"),
        ("missing/a.png", FileNotFoundError, "there is no folder .*missing"),
        ("folder.png", ValueError, "that is a folder"),
    ]:
        with pytest.raises(error, match=message) as caught:
            pictures.write(picture, tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"suffix must be one of \.webp, \.gif"):
        pictures.animation([picture], tmp_path / "a.png")
    with pytest.raises(ValueError, match="frames: 0"):
        pictures.animation([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="frames: 2 of sizes"):
        pictures.animation([picture, pictures.grid(digits[:2])], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="milliseconds: 0"):
        pictures.animation([picture], tmp_path / "a.gif", milliseconds=0)
    assert os.listdir(tmp_path) == ["folder.png"]


def read_frames(path):
    with Image.open(path) as animation:
        frames = []
        for i in range(animation.n_frames):
            animation.seek(i)
            frames.append(np.asarray(animation.convert("RGB"), np.int32))
        return frames, animation.info


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animation_of_grey_frames_is_exact_and_endless(digits, tmp_path, suffix):
    frames = [pictures.grid(digits[i : i + 4]) for i in range(0, 12, 4)]
    path = tmp_path / f"a{suffix}"
    pictures.animation(frames, path, milliseconds=120)
    read, info = read_frames(path)
    assert info["loop"] == 0
    assert info["duration"] == 120
    assert len(read) == 3
    for one, frame in zip(read, frames, strict=True):
        np.testing.assert_array_equal(one[..., 0], np.asarray(frame))


def test_colours_of_a_gif_do_not_flicker(tmp_path):
    """A still half beside a moving one: with a palette per frame it would change from frame to frame."""
    rng = np.random.default_rng(0)
    still = rng.uniform(-1, 1, (1, 64, 64, 3))
    frames = [pictures.grid(np.concatenate([still, rng.uniform(-1, 1, (1, 64, 64, 3)) * 0.1 * i])) for i in range(6)]
    pictures.animation(frames, tmp_path / "a.gif")
    read, _ = read_frames(tmp_path / "a.gif")
    assert len(read) == 6
    for one in read:
        np.testing.assert_array_equal(one[2:66, 2:66], read[0][2:66, 2:66])
        # 256 colours for all of RGB: off by less than a sixth of the range on average.
        assert np.abs(one - np.asarray(frames[0]))[2:66, 2:66].mean() < 40


def test_scatter_shows_points_where_they_are_and_keeps_its_limits():
    real = np.array([[2.0, 2.0]] * 200)
    here = np.asarray(pictures.scatter([[-2.0, 2.0]] * 50, real=real, limits=(-3, 3), title="ring"), np.int32)
    there = np.asarray(pictures.scatter([[2.0, -2.0]] * 50, real=real, limits=(-3, 3), title="ring"), np.int32)
    assert here.shape == there.shape == (480, 480, 3)
    red = [x[..., 0] - x[..., 2] > 60 for x in (here, there)]
    (y0, x0), (y1, x1) = [np.argwhere(r).mean(0) for r in (red[0] & ~red[1], red[1] & ~red[0])]
    assert y0 < y1
    assert x0 < x1
    frame = np.s_[300:, :60]  # the axes' labels: equal, so nothing jumps
    np.testing.assert_array_equal(here[frame], there[frame])


def test_scatter_copes_with_bad_points_and_refuses_bad_shapes():
    pictures.scatter([[np.nan, 0.0], [np.inf, 1.0], [0.5, 0.5]])
    pictures.scatter(np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"points: of shape \[4, 3\]"):
        pictures.scatter(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"real: of shape \[4\]"):
        pictures.scatter(np.zeros((4, 2)), real=np.zeros(4))
    with pytest.raises(ValueError, match="limits: "):
        pictures.scatter(np.zeros((4, 2)), limits=(1.0, 1.0))


def history(count):
    return [
        {"step": i, "images": 64 * i, "seconds": 0.1 * i, "d_loss": 1.4 - 1 / (i + 1), "g_loss": 0.7 + 1 / (i + 1)}
        | {"d_real": 0.6, "d_fake": 0.4, "d_grad_norm": 1.0, "g_grad_norm": 0.1, "penalty": 0.2}
        for i in range(count)
    ]


def size(path):
    with Image.open(path) as picture:
        return picture.size


def test_curves_has_a_panel_for_what_changes(tmp_path):
    rows = history(200)
    pictures.curves(rows, tmp_path / "one.png")
    wide, tall = size(tmp_path / "one.png")
    assert (wide, tall > 290) == (420, True)  # the losses, and a line of what has one value
    for i, row in enumerate(rows):
        row |= {"d_real": 0.6 + i / 1000, "d_grad_norm": 1.0 + i, "penalty": 0.2 + i, "duplicates": 0.0}
    pictures.curves(rows, tmp_path / "four.png")
    assert size(tmp_path / "four.png")[0] == 1260
    assert 580 < size(tmp_path / "four.png")[1] < 620  # losses, verdict, norms, penalty: 3 + 1, and the line
    with Image.open(tmp_path / "four.png") as picture:
        last = np.asarray(picture.convert("L"))[300:570]
    assert (last[:, 800:] < 128).any()  # the fourth has all of its row
    pictures.curves([{"step": 1, "d_loss": 1.0}], tmp_path / "row.png")
    assert size(tmp_path / "row.png")[1] < 100  # words alone
    rows[9] |= {"fid": 30.0, "note": "text"}
    pictures.curves(rows, tmp_path / "again.png")
    assert size(tmp_path / "again.png") == size(tmp_path / "four.png")  # measured once: no panel


def test_words_of_a_grid(digits):
    plain, bare = pictures.grid(digits[:20], columns=10), pictures.grid(digits[:20], columns=10, headings=[""] * 10)
    assert plain.size == bare.size
    headed = pictures.grid(digits[:20], columns=10, headings=[f"class {i}" for i in range(10)])
    assert (headed.width, headed.height > plain.height) == (plain.width, True)
    np.testing.assert_array_equal(np.asarray(headed)[-plain.height :], np.asarray(plain))
    band = np.asarray(headed)[: headed.height - plain.height]
    assert all((band[:, i * 50 : (i + 1) * 50] < 128).any() for i in range(10))
    captioned = pictures.grid(digits[:20], columns=10, captions=["a name that is far too long"] * 20)
    assert captioned.width == plain.width
    assert (np.asarray(captioned)[:, [0, 50, 100]][:8] > 200).all()  # cut short: no word reaches its neighbour
    assert pictures.grid(digits[:4], scale=1, headings=["0"] * 2).size == (22, 22)  # no room
    framed = pictures.grid(digits[:20], columns=10, footings=["seed 3", *[""] * 8, "seed 4"], sides=["pca:1", "pca:2"])
    side, foot = framed.width - plain.width, framed.height - plain.height
    np.testing.assert_array_equal(np.asarray(framed)[:-foot, side:], np.asarray(plain))
    inked = np.asarray(framed) < 128
    assert inked[-foot:, side : side + 50].any()
    assert not inked[-foot:, side + 50 : side + 450].any()
    assert inked[:50, :side].any()
    assert inked[50:100, :side].any()
    titled = pictures.titled(plain, "step 1,000")
    np.testing.assert_array_equal(np.asarray(titled.convert("L"))[-plain.height :], np.asarray(plain))


@pytest.mark.parametrize(
    ("count", "classes", "columns"),
    [
        (64, 0, 8),
        (64, 10, 10),
        (20, 3, 6),
        (7, 10, 3),
        (100, 10, 10),
        (60, 10, 10),
        (16, 2, 4),
        (7, 0, 3),
        (50, 0, 10),
        (1, 0, 1),
        (160, 10, 20),
    ],
)
def test_rows_are_full_where_they_can_be(count, classes, columns):
    assert pictures.columns_for(count, classes) == columns


def test_the_film_of_a_run_spends_its_frames_on_change(digits, tmp_path):
    still = np.zeros((4, 8, 8, 1))
    parts = [pictures.grid(still + level) for level in [-1, -0.5, 0, *[0.5] * 40]]
    assert moving.evenly(parts, 8) == [0, 1, 2, 3, 42]
    files = [(tmp_path / f"{i:06d}.png", part) for i, part in enumerate(parts)]
    pictures.progress(files, tmp_path / "p.webp", titles=True)
    with Image.open(tmp_path / "p.webp") as film:
        assert film.n_frames == 5
        assert film.size[1] > parts[0].height  # the step is over it
        times = []
        for i in range(film.n_frames):
            film.seek(i)
            film.load()
            times.append(film.info["duration"])
    assert times[-1] == 2000 > 4 * max(times[:-1])
    with pytest.raises(ValueError, match="milliseconds"):
        pictures.animation(parts[:3], tmp_path / "p.gif", milliseconds=[80, 80])


def test_curves_copes_with_one_row_holes_and_what_is_not_finite(tmp_path):
    rows = history(300)
    rows[5] = {"step": 5, "images": 320}
    rows[6]["g_loss"] = None
    for row in rows[250:]:
        row |= {"d_loss": math.nan, "g_loss": math.inf, "d_grad_norm": 0.0}
    for name, part in (("one", rows[:1]), ("two", rows[:2]), ("all", rows), ("bad", rows[250:]), ("bare", [{"step": 0}])):
        pictures.curves(part, tmp_path / f"{name}.png")
    assert len(os.listdir(tmp_path)) == 5
    with pytest.raises(ValueError, match="history: no rows"):
        pictures.curves([], tmp_path / "none.png")
    with pytest.raises(ValueError, match="suffix"):
        pictures.curves(rows, tmp_path / "curves.txt")


def test_curves_marks_the_equilibrium_it_is_given(tmp_path):
    rows, drawn = [{"images": 0, "d_loss": 1.0}, {"images": 64, "d_loss": 1.2}], []
    for i, equilibrium in enumerate((2 * math.log(2), math.log(2), None)):
        pictures.curves(rows, tmp_path / f"{i}.png", equilibrium=equilibrium)
        drawn.append((tmp_path / f"{i}.png").read_bytes())
    assert len(set(drawn)) == 3


def test_an_equilibrium_is_drawn_only_where_the_loss_has_one():
    rows = [
        {"images": i, "d_loss": 0.6, "d_real": 0.5 + i, "d_fake": 0.5, "real_logits": i, "fake_logits": 0.0} for i in (0, 1)
    ]
    for loss, told in (
        (losses.non_saturating, {"D's verdict, a probability": 0.5, "D's logits": 0.0}),
        (losses.least_squares, {"D's verdict, a probability": 1 / (1 + math.exp(-0.5)), "D's logits": 0.5}),
        (losses.relativistic, {"sigmoid of D's logits": None, "D's logits": None}),
    ):
        panels = series(rows, equilibrium=loss.equilibrium, logit=loss.logit).panels
        assert {panel.title: panel.mark and panel.mark.value for panel in panels} == told


def test_no_global_state_of_matplotlib_is_touched():
    before = set(sys.modules)
    pictures.scatter(np.zeros((3, 2)))
    assert "matplotlib.pyplot" not in set(sys.modules) - before


def test_frames_larger_than_an_encoder_takes_are_made_smaller(tmp_path):
    for name in ("a.webp", "a.gif"):
        pictures.animation([Image.new("L", (49_234, 20), shade) for shade in (0, 200)], tmp_path / name)
        with Image.open(tmp_path / name) as made:
            assert (made.size, made.n_frames) == ((7_034, 3), 2)
