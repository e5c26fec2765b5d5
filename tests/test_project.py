"""Inversion of a run's own images and of others; its files; mistakes in one line, nothing written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import cli
from jaxgan.commands.project import written
from jaxgan.system import files
from jaxgan.system.messages import FieldError
from jaxgan.training.train import train

EXAMPLES = Path(__file__).parent / "examples"
FEW = {"restarts": 4, "steps": 60}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a user's generator with styles."""
    folder = tmp_path_factory.mktemp("mapped")
    shutil.copy(EXAMPLES / "mapped.py", folder)
    return train(str(folder / "mapped.py"), folder / "run").path


def test_images_of_the_run_come_back_with_their_class(tiny_run: Path, tmp_path: Path) -> None:
    own = jaxgan.load_sampler(tiny_run)(6, seed=9, labels=[3, 8])
    found = jaxgan.project(tiny_run, own.images, steps=120, features="none")
    assert (found.psnr >= 30).mean() >= 0.8
    assert (found.rmse < 0.05).all()
    assert found.latents.shape == (6, 8)
    again = jaxgan.load_sampler(tiny_run)(z=found.latents, labels=found.labels)
    assert (again.images == found.images).mean() > 0.99  # what it says they make, they make
    np.testing.assert_allclose(
        found.rmse, np.sqrt(((found.images / 255.0 - own.images / 255.0) ** 2).mean((1, 2, 3))), atol=5e-3
    )
    assert found.folder is None
    assert not (tiny_run / "projection").exists()
    given = jaxgan.project(tiny_run, own.images, labels=[3, 8, 3, 8, 3, 8], steps=120, features="none")
    assert given.labels.tolist() == [3, 8, 3, 8, 3, 8]
    assert (given.psnr >= 30).mean() >= 0.8


def test_a_command_writes_the_way_the_latents_and_the_figures(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    jaxgan.sample(tiny_run, n=2, labels=5, out=tmp_path / "two")
    Image.new("L", (30, 20), 128).save(tmp_path / "two" / "grey.png")
    words = [
        "project",
        tiny_run,
        tmp_path / "two",
        "--labels",
        "5",
        "--steps",
        "20",
        "--restarts",
        "2",
        "--out",
        tmp_path / "p",
    ]
    cli.main([*map(str, words), "--features", "pixels"])
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == str(tmp_path / "p")
    assert out[0].split()[:3] == ["image", "label", "PSNR,"]
    content = json.loads((tmp_path / "p" / "projection.json").read_text())
    assert [row["name"] for row in content["images"]] == ["000000.png", "000001.png", "grey.png"]
    assert all(row["anomaly"] == row["rmse"] and row["features"] > 0 for row in content["images"])
    assert (content["space"], content["restarts"], content["steps"]) == ("z", 2, 20)
    assert content["features"]["name"] == "pixels"
    assert written.checked(tmp_path / "p") == tmp_path / "p"  # it may be replaced, being of an earlier search
    (tmp_path / "of_others").mkdir()
    (tmp_path / "of_others" / "projection.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"of_others, but it holds files and no projection\.json of project's"):
        written.checked(tmp_path / "of_others")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of_others", "p", "two"]  # nothing that was half of one
    with np.load(tmp_path / "p" / "latents.npz") as held:
        assert held["latents"].shape == (3, 8)
        assert held["labels"].tolist() == [5, 5, 5]
    with Image.open(tmp_path / "p" / "way.png") as way:
        assert way.width > 2 * way.height  # nine pictures by three


def test_files_of_a_search_are_replaced_together_or_not_at_all(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = jaxgan.project(tiny_run, jaxgan.load_sampler(tiny_run)(1, seed=3).images, labels=[0], features="none", **FEW)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_json, place = files.write_json, files.place

    def full(path: Path, _content: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        written.write(made, empty)
    assert list(tmp_path.iterdir()) == [empty]
    assert not list(empty.iterdir())
    monkeypatch.setattr(files, "write_json", write_json)
    written.write(made, empty)
    before = {path.name: path.read_bytes() for path in empty.iterdir()}
    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        written.write(made._replace(psnr=made.psnr + 1), empty)
    assert {path.name: path.read_bytes() for path in empty.iterdir()} == before

    def killed(_whole: Path, final: Path) -> None:
        if final.name == "latents.npz":
            raise KeyboardInterrupt
        place(_whole, final)

    monkeypatch.setattr(files, "write_json", write_json)
    monkeypatch.setattr(files, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        written.write(made, empty)
    assert not (empty / "projection.json").exists()  # else its figures would stand beside other latents
    monkeypatch.setattr(files, "place", place)
    assert written.checked(empty) == empty
    written.write(made, empty)
    (tmp_path / "other_disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other_disk")  # like a mounted folder it can be filled, and not replaced
    written.write(made, tmp_path / "link")
    assert {path.name for path in (tmp_path / "other_disk").iterdir()} == set(before)
    (tmp_path / "stranger").mkdir()
    np.savez(tmp_path / "stranger" / "latents.npz", z=np.zeros(3))
    with pytest.raises(ValueError, match="it holds files and no "):
        written.checked(tmp_path / "stranger")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "blocked" / "way.png").mkdir(parents=True)
    for name, told in (("nowhere", "it must be a folder"), ("blocked", "it holds a folder way.png")):
        with pytest.raises(ValueError, match=told):
            written.checked(tmp_path / name)


@pytest.mark.parametrize("space", ["w", "w+", "z"])
def test_styles_of_a_users_generator(mapped: Path, space: str) -> None:
    own = jaxgan.load_sampler(mapped)(2, seed=4)
    found = jaxgan.project(mapped, own.images, space=space, features="none", **FEW)
    assert found.latents.shape[1:] == {"z": (5,), "w": (6,), "w+": (2, 6)}[space]
    assert (found.psnr > 22).all()
    assert found.how["space"] == space


def test_points_and_conditions(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "conditioned.py", tmp_path)
    run = train(str(tmp_path / "conditioned.py"), tmp_path / "run").path
    held = jaxgan.runs.read(run).shown
    one = {name: x[:2] for name, x in held.items()}
    own = jaxgan.load_sampler(run)(2, seed=1, condition=one)
    found = jaxgan.project(run, own.images, conditions=one, features="none", **FEW)
    assert (found.rmse < 0.1).all()
    with pytest.raises(ValueError, match="conditions: none given, but the generator needs bright"):
        jaxgan.project(run, own.images)
    with pytest.raises(ValueError, match="conditions: bright float32"):
        jaxgan.project(run, own.images, conditions=one | {"half": one["half"][:, :2]})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("x.png --labels 42", "labels: 42, but the classes are 0 to 9"),
        ("x.png --labels 1 2", "labels: 2 classes, but give one for all, or one for each of 1 images"),
        ("none.png", "IMAGE: none.png does not exist"),
        ("x.png --space w", "space: w, but this generator has no mapping to styles; its space is z"),
        ("x.png --restarts 0", "restarts: 0, but it must be from 1 to 128"),
        ("x.png --out y.png", "out: y.png, but it must be a folder"),
        (
            "x.png --out .",
            "it holds files and no projection.json of project's; it must be new, empty, or a folder of project's",
        ),
        ("x.png --conditions c.npz", "conditions: given, but the generator takes none"),
        ("x.png --features nothing_such", "features: 'nothing_such' is not one of"),
        ("", "IMAGE: missing, but one or more are required"),
    ],
)
def test_mistakes(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8)).save("x.png")
    with pytest.raises(SystemExit) as stop:
        cli.main(["project", str(tiny_run), *words.split()])
    assert stop.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_runs_that_cannot_be_inverted(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "bare", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(FileNotFoundError, match="no checkpoint there"):
        jaxgan.project(tmp_path / "bare", np.zeros((1, 8, 8, 1)))
    (tmp_path / "x.jaxgan").write_bytes(b"")
    with pytest.raises(ValueError, match=r"x\.jaxgan, but its programs have no derivatives"):
        jaxgan.project(tmp_path / "x.jaxgan", np.zeros((1, 8, 8, 1)))
    jaxgan.export(tiny_run, out=tmp_path / "g.safetensors")
    assert jaxgan.project(tmp_path / "g.safetensors", np.zeros((1, 8, 8, 1)), features="none", **FEW).how["step"] is None


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_where_nothing_can_be_made_is_refused_though_rights_allow_it() -> None:
    with pytest.raises(FieldError, match=r"out: /proc/x, but /proc cannot be written to"):
        written.checked("/proc/x")
