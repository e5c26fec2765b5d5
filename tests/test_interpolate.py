"""Every kind of walk as a file: loops, sheets, morphs, mixtures, directions; mistakes in one line, nothing written."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import cli
from jaxgan.commands.interpolate import ways
from jaxgan.commands.interpolate.command import interpolate
from jaxgan.latent import kept, opened
from jaxgan.training.train import train

EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("walks") / "run"))
    kept.write(copied, kept.Directions("up", "z", np.eye(8, dtype=np.float32)[:2], np.ones(2), {}))
    kept.write(copied, kept.Directions("other", "z", np.eye(5, dtype=np.float32)[:2], np.ones(2), {}))
    return copied


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    shutil.copy(EXAMPLES / "mapped.py", folder)
    path = train(str(folder / "mapped.py"), folder / "run").path
    kept.write(path, kept.Directions("wide", "w", np.eye(6, dtype=np.float32)[:1], np.ones(1), {}))
    return path


def size(path: Path) -> tuple[int, int, int]:
    with Image.open(path) as image:
        return image.width, image.height, getattr(image, "n_frames", 1)


def test_loops_and_sheets(run: Path, tmp_path: Path) -> None:
    strip = size(interpolate(run, out=tmp_path / "loop.png", loop=True, labels=[3, 4], seeds=(1, 2, 3), frames=4))
    assert strip[0] > 3 * strip[1]  # nine images by two
    assert size(interpolate(run, out=tmp_path / "loop.gif", loop=True, labels=3, seeds=(1, 2, 3), frames=4))[2] == 9
    sampler = jaxgan.load_sampler(run)
    row = ways.Row(0, 3)
    looped = ways.along(sampler, (1, 2, 3), row, ways.closed(sampler, 3))
    for number, seed in enumerate((1, 2, 3)):
        assert (looped.images[3 * number] == sampler(1, seed=seed, labels=3).images[0]).mean() > 0.99
    width, height, _ = size(interpolate(run, out=tmp_path / "sheet.png", sheet=True, labels=5, seeds=(1, 2, 3, 4), frames=5))
    assert height - width == 2 * 18  # the seeds of the corners, over and under them


def test_a_morph_goes_from_class_to_class(run: Path, mapped: Path, tmp_path: Path) -> None:
    for path in (run, mapped):
        sampler, found = jaxgan.load_sampler(path), opened.read(path)
        first, second = ways.morphs(found, sampler, (5, 6), [3, 7, 0], 4)
        assert len(first) == len(second) == 7
        assert first.labels.tolist() == [3, 3, 3, 7, 7, 7, 0]  # on the way, the class that is left
        for frame, label in ((0, 3), (3, 7), (6, 0)):
            assert np.abs(first.images[frame].astype(int) - sampler(1, seed=5, labels=label).images[0]).max() <= 1
        assert (first.images[1] != first.images[0]).any()
    assert size(interpolate(run, out=tmp_path / "m.webp", morph=True, labels=[3, 7], seeds=(5,), frames=4))[2] == 6


def test_styles_are_mixed_and_directions_followed(run: Path, mapped: Path, tmp_path: Path) -> None:
    table, columns = ways.mixtures(opened.read(mapped), (1, 2, 3), 4, None)
    assert (len(table), columns) == (16, 4)
    sampler = jaxgan.load_sampler(mapped)
    for i, seed in enumerate((1, 2, 3)):
        own = sampler(1, seed=seed, labels=4).images[0].astype(int)
        for place in (1 + i, 4 * (1 + i), 4 * (1 + i) + 1 + i):  # above, at the left, and mixed with itself
            assert np.abs(table.images[place] - own).max() <= 1
    interpolate(mapped, out=tmp_path / "mix.png", mix=True, labels=4)
    made = ways.of_direction(lambda: opened.read(mapped), sampler, mapped, "wide", 1, [ways.Row(0, 4)], 5)
    assert np.abs(made[0].images[2].astype(int) - sampler(1, seed=1, labels=4).images[0]).max() <= 1
    assert size(interpolate(run, out=tmp_path / "d.gif", direction="up:2", labels=[1], frames=5))[2] == 8  # there and back
    with Image.open(tmp_path / "mix.png") as drawn:
        side, pixels = drawn.width - (4 * 50 + 2), np.asarray(drawn)
    assert side > 30  # the seeds of the coarse styles, beside the rows
    assert (pixels[20:66, side + 2 : side + 48] == 255).all()  # the corner shows nothing of its own


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--direction nothing", "direction: nothing, but there are other, up"),
        ("--direction up:3", "direction: up:3, but it has 1 to 2"),
        ("--direction other", "direction: other, but its vectors have 5 numbers, and z has 8"),
        ("--sheet", "seeds: 3 given, but a sheet has four corners: --seeds 1 2 3 4"),
        ("--sheet --loop", "sheet: asked for with loop, but give one of loop, sheet, morph, mix, direction"),
        ("--morph", "labels: 0 classes, but a morph goes from class to class: give two or more, --labels 3 7"),
        ("--morph --labels 3 42", "labels: 42, but the classes are 0 to 9"),
        ("--mix", "mix: asked for, but this generator has no mapping to styles; only those can be mixed"),
        ("--cut 2", "cut: 2, but it is for --mix"),
        ("--mix --frames 4", "frames: 4, but a table of mixtures has as many images along a side as seeds"),
        ("--loop --path lerp", "path: lerp, but it is for strips and --sheet; every other way has its own"),
        ("--loop --seeds 4", "seeds: 1 given, but a way needs at least 2"),
    ],
)
def test_mistakes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["interpolate", str(run), "--out", str(tmp_path / "x.png"), *words.split()])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"jaxgan interpolate: {told}"
    assert not list(tmp_path.iterdir())


def test_latents_that_were_found_are_walked_between(run: Path, mapped: Path, tmp_path: Path) -> None:
    sampler = jaxgan.load_sampler(run)
    z = np.asarray(sampler.functions.latents(0, np.arange(3, dtype=np.int32)))
    np.savez(tmp_path / "z.npz", latents=z, labels=np.full(3, 6), space="z")
    given = ways.read(tmp_path / "z.npz", sampler, None)
    assert (given.label, given.space) == (6, "z")
    assert size(interpolate(run, out=tmp_path / "a.gif", latents=tmp_path / "z.npz", frames=4))[2] == 9
    assert size(interpolate(run, out=tmp_path / "b.gif", latents=tmp_path / "z.npz", frames=4, loop=True))[2] == 9
    found = jaxgan.project(mapped, jaxgan.load_sampler(mapped)(2, seed=4).images, space="w+", steps=20, features="none")
    np.savez(tmp_path / "w.npz", latents=found.latents, labels=found.labels, space="w+")
    made = ways.between(
        lambda: opened.read(mapped),
        sampler,
        ways.read(tmp_path / "w.npz", jaxgan.load_sampler(mapped), None),
        0,
        lambda ends: ends,
    )
    assert np.abs(made.images.astype(int) - found.images).max() <= 1
    for held, told in (
        ({"latents": z[:, :5]}, r"^latents: of shape \[3, 5\], but it must be \[K, 8\] with K at least 2$"),
        ({"latents": z * np.nan}, "^latents: values that are not finite; each must be a number of at most 1e"),
        ({"latents": np.float32(3)}, r"^latents: of shape \[\], but it must be \[K, 8\] with K at least 2$"),
        ({"latents": np.float32(3), "space": "w"}, r"^latents: of shape \[\], but it must be \[K, \.\.\.\] with K"),
        ({"latents": z * 1e30}, r"^latents: values up to .*e\+30; each must be a number of at most 1e\+06$"),
        ({"latents": z, "labels": np.array(6)}, r"z\.npz holds int64 \[\]; they must be whole numbers, one for each of 3"),
        ({"latents": z, "labels": np.full(3, 1.5)}, r"^labels: .* holds float64 \[3\]; they must be whole numbers"),
        ({"latents": z, "labels": np.zeros(0, int)}, r"^labels: .* holds int64 \[0\]; they must be whole numbers"),
        ({"latents": z, "labels": np.full(3, "x")}, r"^labels: .* holds <U1 \[3\]; they must be whole numbers"),
        ({"other": z}, r"z\.npz holds other, but it must hold real numbers latents \[K, D\]"),
        ({"latents": found.latents, "space": "w+"}, "^space: w\\+, but this generator has no mapping to styles"),
    ):
        np.savez(tmp_path / "z.npz", **held)
        with pytest.raises(ValueError, match=told):
            interpolate(run, out=tmp_path / "x.png", latents=tmp_path / "z.npz")
    with pytest.raises(FileNotFoundError, match=r"latents: .*none\.npz does not exist"):
        interpolate(run, out=tmp_path / "x.png", latents=tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match=r"^latents: .*: it is a folder$"):
        interpolate(run, out=tmp_path / "x.png", latents=tmp_path)
    assert not (tmp_path / "x.png").exists()


def test_what_stands_still_and_what_needs_the_weights(run: Path, mapped: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"out: x\.gif, but a sheet stands still; write \.png"):
        interpolate(run, out=tmp_path / "x.gif", sheet=True, seeds=(1, 2, 3, 4))
    with pytest.raises(ValueError, match="cut: 2, but it must be from 1 to 1, of 2 layers"):
        interpolate(mapped, out=tmp_path / "x.png", mix=True, cut=2)
    jaxgan.export(run, out=tmp_path / "g.jaxgan")
    assert interpolate(tmp_path / "g.jaxgan", out=tmp_path / "loop.png", loop=True, labels=3, frames=3).exists()
    with pytest.raises(ValueError, match="its programs have no derivatives and no styles"):
        interpolate(tmp_path / "g.jaxgan", out=tmp_path / "x.png", morph=True, labels=[1, 2])


def test_video(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxgan.pictures import moving

    with monkeypatch.context() as patch:
        patch.setattr(moving, "find_spec", lambda name: None)
        with pytest.raises(ValueError, match=r"^out: x\.mp4: video needs the package av: pip install 'jaxgan\[video\]'$"):
            interpolate(run, out=tmp_path / "x.mp4")
    av = pytest.importorskip("av")
    interpolate(run, out=tmp_path / "x.mp4", loop=True, labels=3, frames=4)
    with av.open(str(tmp_path / "x.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 9
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    assert np.abs(frames[0].astype(int) - frames[4]).max() > 50
