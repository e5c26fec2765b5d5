"""Each file that a run, a cache and an export consist of, damaged in each way: a line or the right result, never a traceback.

Everything happens in this process, through the command line's own `main`, so that a hundred cases cost a minute.
"""

import contextlib
import dataclasses
import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgan import cli, data, pictures
from jaxgan.data import digits
from jaxgan.data import folder as image_folder
from jaxgan.recipes import Data, Recipe
from jaxgan.system import arrays, debris, files
from jaxgan.training import going_on, metrics, runs

FIXTURES = Path(__file__).parent.parent / "fixtures"
TINY = "--generator mlp --generator.width 8 --discriminator mlp --discriminator.width 8 --steps 1 --batch-size 8"
FEW = ["--steps", "1", "--restarts", "1", "--labels", "1", "--features", "none"]
SECONDS = 60  # after which a case counts as one that hangs


def deleted(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = (deleted, emptied, cut, flipped, a_folder, a_loop, a_pipe)
all_damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Ends what hangs: in Python with an error, in a library's own code with the process."""

    def late(*_: object) -> None:
        pytest.fail(f"it hangs: {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


Ended = tuple[int, list[str]]
Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in this process: its status and the lines on stderr. Any error but an exit fails the test."""

    def command(*words: object) -> Ended:
        capsys.readouterr()
        status = 0
        with bounded():
            try:
                cli.main([str(word) for word in words])
            except SystemExit as ended:
                status = int(ended.code or 0)
        return status, capsys.readouterr().err.splitlines()

    return command


def check_told(ended: Ended, verb: str) -> None:
    status, lines = ended
    assert status in (0, 2), lines
    assert not any("Traceback" in line for line in lines)
    if status:
        assert [line for line in lines if line.startswith(f"jaxgan {verb}: ")] == lines[-1:]
        assert len(lines[-1]) < 600


OF_A_RUN = (
    "recipe.json",
    "metrics.jsonl",
    "checkpoints/6/_CHECKPOINT_METADATA",
    "checkpoints/6/generator/_METADATA",
    "checkpoints/6/generator/manifest.ocdbt",
    "checkpoints/6/state/manifest.ocdbt",
    "checkpoints/6/state/d/*",
)
NEEDS = {  # what a verb cannot do without
    "sample": (*OF_A_RUN[:1], *OF_A_RUN[2:5]),
    "export": (*OF_A_RUN[:1], OF_A_RUN[2], *OF_A_RUN[5:]),
    "train": (*OF_A_RUN[:1], OF_A_RUN[2], *OF_A_RUN[5:]),
    "plan": OF_A_RUN[:1],
}


def words_of(verb: str, run_: Path, out: Path) -> list[object]:
    return {
        "sample": ["sample", run_, "--n", 1, "--out", out / "s.npz", "--no-compile-cache"],
        "interpolate": ["interpolate", run_, "--frames", 2, "--out", out / "w.png", "--no-compile-cache"],
        "evaluate": ["evaluate", run_, "--metrics", "fid", "--features", "pixels", "--n", 20, "--out", out / "e.json"],
        "export": ["export", run_, "--out", out / "g.safetensors", "--no-compile-cache"],
        "train": ["train", run_, "--no-compile-cache"],
        "plan": ["plan", run_],
        "init": ["train", "digits", "--init-from", run_, "--run", out / "r", *TINY.split()],
    }[verb]


@all_damages
@pytest.mark.parametrize("file", OF_A_RUN)
def test_a_damaged_file_of_a_run(file: str, damage: Callable[[Path], None], run: Run, tmp_path: Path) -> None:
    """Every verb; those that need the file may refuse, with a line, and the others must do their work."""
    path = tmp_path / "run"
    shutil.copytree(FIXTURES / "run_format_2", path)
    (path / "samples").mkdir()
    damage(next(path.glob(file)))
    for verb, needed in NEEDS.items():
        if file not in needed and damage not in (deleted, a_pipe) and file != "metrics.jsonl":
            continue  # what does not read the file does not see the damage
        ended = run(*words_of(verb, path, tmp_path))
        check_told(ended, verb)
        if file not in needed and damage is not a_pipe and not (file == "metrics.jsonl" and verb == "train"):
            assert ended[0] == 0, (verb, ended[1])
        if file in needed and damage in (deleted, a_folder, a_loop, a_pipe, emptied):
            assert ended[0] == 2, (verb, file)
    if damage is a_pipe and file == "recipe.json":
        for verb in ("interpolate", "evaluate", "init"):
            check_told(run(*words_of(verb, path, tmp_path)), "train" if verb == "init" else verb)


@all_damages
def test_a_damaged_export(damage: Callable[[Path], None], run: Run, tmp_path: Path) -> None:
    for name in ("format_2.safetensors", "format_2.safetensors.sha256"):
        for suffix in ("", ".sha256"):
            shutil.copy(FIXTURES / f"format_2.safetensors{suffix}", tmp_path / f"format_2.safetensors{suffix}")
        damage(tmp_path / name)
        words = ["--init-from", tmp_path / "format_2.safetensors", "--run", tmp_path / "r", *TINY.split()]
        ended = run("train", "digits", *words)
        check_told(ended, "train")
        unsealed = name.endswith(".sha256") and damage in (deleted, a_folder)
        assert ended[0] == (0 if unsealed else 2), ended[1]
        if not unsealed:
            assert "format_2.safetensors" in ended[1][-1]
        check_told(run("convert", tmp_path / "format_2.safetensors", "--as", "dcgan", "--out", tmp_path / "c"), "convert")
        for left in tmp_path.iterdir():
            assert left.name.startswith("format_2") or (unsealed and left.name == "r"), left
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


@pytest.fixture(scope="module")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    folder = tmp_path_factory.mktemp("whole")
    images, labels, _ = data.arrays("digits", cache_dir=folder)
    return folder, images, labels


OF_THE_CACHE = (
    "tensorflow_datasets/digits/1.0.0/dataset_info.json",
    "tensorflow_datasets/digits/1.0.0/features.json",
    "tensorflow_datasets/digits/1.0.0/digits-train.array_record*",
    "arrays/digits/1.0.0/train-8x8x1/seal.json",
    "arrays/digits/1.0.0/train-8x8x1/images.npy",
    "arrays/digits/1.0.0/train-8x8x1/labels.npy",
)


@all_damages
@pytest.mark.parametrize("file", OF_THE_CACHE)
def test_a_damaged_cache_heals(
    file: str, damage: Callable[[Path], None], digits_cache: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """The digits are read as they are, now and the next time; the damage is gone, or is one that changes nothing."""
    whole, images, labels = digits_cache
    shutil.copytree(whole, tmp_path / "cache")
    damaged = next((tmp_path / "cache").glob(file))
    damage(damaged)
    if "tensorflow_datasets" in file:
        shutil.rmtree(tmp_path / "cache" / "arrays")
    with bounded():
        for _ in range(2):
            found = data.arrays("digits", cache_dir=tmp_path / "cache")
            assert (found[0] == images).all()
            assert (found[1] == labels).all()
            assert len(found[2]) == 10


UNWRITABLE = Path("/proc/jaxgan")  # where nobody may make anything, the system's administrator included


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.skipif(not UNWRITABLE.parent.is_dir(), reason="no /proc")
@pytest.mark.parametrize("kind", ["impossible", "a file", "full"])
def test_training_without_a_cache(
    kind: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The default data train without a cache, and that is said once."""
    place = UNWRITABLE if kind == "impossible" else tmp_path / "place"
    if kind == "a file":
        place.write_text("")
    if kind == "full":
        write = files.write

        def unless_there(path: Path, content: object) -> None:
            full() if Path(path).is_relative_to(place) else write(path, content)

        monkeypatch.setattr(files, "write", unless_there)
        move = files.place
        monkeypatch.setattr(files, "place", lambda made, final: full() if final.is_relative_to(place) else move(made, final))
    monkeypatch.setenv("JAXGAN_CACHE", str(place))
    monkeypatch.setattr(files, "_warned", set())
    digits._elsewhere.cache_clear()
    status, lines = run("train", "digits", "--run", tmp_path / "r", *TINY.split())
    assert status == 0, lines
    assert len([record for record in caplog.records if "going on without" in record.getMessage()]) == 1


def test_a_home_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAXGAN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nobody")
    assert files.cache_folder() == Path("/proc/nobody/.cache/jaxgan")
    assert files.home_expanded("~no_such_user/x") == Path("~no_such_user/x")


@pytest.mark.skipif(not UNWRITABLE.parent.is_dir(), reason="no /proc")
def test_outputs_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """A pipe, a device, a link that leads to itself and a folder that nobody may write to are refused and left as they are."""
    fixture = FIXTURES / "run_format_2"
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    (tmp_path / "full.npz").symlink_to("/dev/full")
    for out in (tmp_path / "pipe.npz", tmp_path / "loop.npz", tmp_path / "full.npz", Path("/proc/s.npz")):
        status, lines = run("sample", fixture, "--n", 1, "--out", out, "--no-compile-cache")
        assert status == 2, lines
        assert str(out) in lines[-1]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["full.npz", "loop.npz", "pipe.npz"]
    assert (tmp_path / "pipe.npz").is_fifo()
    for words in (["train", "digits", "--run", "/proc/jaxgan/r"], ["plan", "digits", "--out", "/proc/plan.json"]):
        check_told(run(*words), words[0])
        assert run(*words)[0] == 2


def test_a_folder_that_is_read_only_is_refused_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = Path(shutil.copytree(FIXTURES / "run_format_2", tmp_path / "fixed.v2"))
    np.savez(tmp_path / "x.npz", images=np.zeros((1, 8, 8, 1), np.uint8))
    before, may = sorted(fixed.rglob("*")), os.access
    with monkeypatch.context() as patched:  # root may write anywhere
        patched.setattr(os, "access", lambda path, mode: may(path, mode) and not (mode & os.W_OK and Path(path) == fixed))
        for words in (
            ["sample", fixed],
            ["evaluate", fixed, "--features", "pixels"],
            ["report", fixed],
            ["project", fixed, tmp_path / "x.npz"],
            ["directions", fixed],
            ["directions", fixed, "--out", tmp_path / "d.png"],
            ["interpolate", fixed, "--out", fixed / "way.png"],
            ["export", fixed, "--out", fixed / "g.jaxgan"],
            ["plan", "digits", "--out", fixed / "plan.json"],
        ):
            status, lines = run(*words)
            assert status == 2, lines
            assert lines[-1].endswith(f"but {fixed} cannot be written to"), lines
            assert not any(line.startswith(("project:", "directions:", "report:", "images of")) for line in lines)
        assert run("project", fixed, tmp_path / "x.npz", *FEW, "--out", tmp_path / "p.v1")[0] == 0
    assert sorted(fixed.rglob("*")) == before
    assert run("project", fixed, tmp_path / "x.npz", *FEW)[0] == 0
    assert (fixed / "projection" / "latents.npz").is_file()  # in the run, for all the dot in its name


# ------------------------------------------------------------------------------------------------------------- one writer


def test_a_written_file_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path, other = tmp_path / "a.txt", tmp_path / "link.txt"
    files.write(path, "old\n")
    path.chmod(0o600)

    def fails(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device.*a\.txt"):
        files.write(path, fails)
    with pytest.raises(ZeroDivisionError):
        files.write(path, lambda file: 1 / 0)
    assert path.read_text() == "old\n"
    other.symlink_to("a.txt")
    files.write(other, b"new\n")
    assert (path.read_text(), other.is_symlink(), path.stat().st_mode & 0o777) == ("new\n", True, 0o600)
    files.append(path, "more")
    assert path.read_text() == "new\nmore\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt", "link.txt"]


KILLED = """
import os, sys, pathlib
from jaxgan.system import files
folder = pathlib.Path(sys.argv[1])
with files.scratch(folder) as scratch:
    (scratch / "inside").write_text("x")
    files.write(folder / "s.npz", lambda file: (file.write(b"part"), file.flush(), os._exit(9)))
"""


def test_debris_of_the_dead_is_removed_and_that_of_the_living_stays(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 9
    left = [each.name for each in tmp_path.iterdir()]
    assert len(left) == 2
    assert all(name.startswith((".jaxgan-", ".s.npz-")) for name in left)
    own = tmp_path / debris.name("mine")
    own.write_text("")
    elsewhere = tmp_path / ".x-0123abcd-1-0123abcd.part"
    elsewhere.write_text("")
    old = [tmp_path / ".y-0123abcd-1-0123abcd.part", tmp_path / ".recipe.json.99.tmp", tmp_path / ".z.npz.7-0123abcd.part"]
    for each in old:
        each.write_text("")
        os.utime(each, (0, 0))
    (tmp_path / ".keep.part").write_text("")
    files.write(tmp_path / "s.npz", b"whole")
    found = {each.name for each in tmp_path.iterdir()}
    assert found == {own.name, elsewhere.name, ".keep.part", "s.npz"}


# ------------------------------------------------------------------------------------------------------------- one reader


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**43)  # takes no room on the disk
    kinds = {
        "pipe": "a named pipe, not a file",
        "loop": "a link that leads to itself",
        "huge": "8,796,093,022,208 bytes, more",
    }
    kinds |= {"gone": "there is no such file", ".": "it is a folder", "huge/x": "there is no such file", "a\0b": "null"}
    with bounded():
        for name, words in kinds.items():
            for read in (files.read, files.read_json, arrays.npy, arrays.npz):
                with pytest.raises(files.Unreadable, match=words):
                    read(f"{tmp_path}/{name}")
        with pytest.raises(files.Unreadable, match="/dev/zero: it is a device, not a file"):
            files.read("/dev/zero")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9" * 400, "an integer of 400 digits"),
        ("1e999", "1e999, which is no float64"),
        ("[Infinity]", "Infinity, which JSON has not"),
        ("[" * 100_000, "more than 64 levels"),
        ('{"a":' * 80 + "1" + "}" * 80, "more than 64 levels"),
        ("\udcff", "no JSON"),
        ("", "no JSON"),
    ],
)
def test_json_beyond_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        files.parse_json(text)


def header(shape: str, kind: str = "|u1") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (64 - (10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header("(100000000000, 8, 8)") + b"x" * 100, "claims 6,400,000,000,000 bytes, but 100 are there"),
        (header(f"({2**70}, 8, 8)") + b"x" * 100, "but 100 are there"),
        (header("(-1, -100)") + b"x" * 100, "but 100 are there"),
        (header("(12,)", "|O") + b"x" * 96, "Python objects"),
        (header("(" * 3000), "."),
        (b"\x93NUMPY\x09\x00" + bytes(100), "version 9.0"),
    ],
)
def test_an_array_that_claims_too_much(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", content)
    for read, name in ((arrays.npy, "a.npy"), (arrays.npz, "a.npz")):
        with pytest.raises(files.Unreadable, match=rf"{name}: .*{words}"):
            read(tmp_path / name)


def test_an_archive_that_is_a_bomb_or_encrypted(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", images=np.zeros((4, 8, 8), "u1"))
    content = bytearray((tmp_path / "e.npz").read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "e.npz").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("images.npy", header("(1000000,)") + bytes(1_000_000))
    for name, words in (("e", "encrypted"), ("b", "compressed in a way")):
        with pytest.raises(ValueError, match=rf"npz: .*{name}\.npz is damaged or no \.npz of plain arrays: .*{words}"):
            data.arrays(f"npz:{tmp_path / name}.npz")


def test_pictures_that_cannot_be_read_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(3):
        Image.fromarray(np.full((8, 8), i, "u1")).save(tmp_path / f"{i}.png")
    os.mkfifo(tmp_path / "3.png")
    (tmp_path / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with bounded():
        found = image_folder.source(tmp_path, image_size=None, channels=None)
        assert len(found.everything()[0]) == 3
        assert len(pictures.frames(sorted(tmp_path.glob("*.png")))) == 3
    assert "skipped 2 that cannot be read" in caplog.text
    assert "2 left out, which cannot be read as pictures: 3.png, 4.png" in caplog.text


# ---------------------------------------------------------------------------------------------------------- metrics.jsonl


def row(step: int, **more: object) -> dict[str, object]:
    return {"step": step, "images": 8 * step, "seconds": 0.5 * step, "d_loss": 1.0, **more}


def test_a_bad_line_of_metrics_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = runs.Run(tmp_path, Recipe(Data()), None, ())  # type of shape: not looked at
    bad = [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"step": "x"}',
        b'{"step": -1}',
        b"\xff\xfe",
        b"[" * 9000,
        b'{"step": 1e9}',
    ]
    bad += [json.dumps(row(3, d_loss=value)).encode() for value in (1e308, -2e100)]
    bad += [json.dumps({"step": 2**62}).encode(), json.dumps(row(3, members=None)).encode()]
    bad += [json.dumps(row(3, d_loss="x")).encode(), json.dumps(row(3, members={"d_loss": 3})).encode()]
    bad += [json.dumps(row(3) | {"seconds": "9" * 400}).replace('"9', "9").replace('9"', "9").encode()]
    good = [row(4), row(8, verdict=None, evidence=["a"]), row(12, members={"d_loss": [1.0, None]}), {"step": 16}]
    lines = [json.dumps(good[0]).encode()]
    for each in good[1:]:
        lines += [*bad, json.dumps(each).encode()]
    one.metrics.write_bytes(b"\n".join(lines) + b"\n" + b'{"step": 20, "ima')
    assert going_on.forget_after(one, 16) == good
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{one.metrics}: {3 * len(bad)} of {3 * len(bad) + 4} lines are left out: line 2, blank; line 3, ")
    assert "\n" not in told
    assert len(told) < 600
    assert metrics.read(one.metrics) == (good, [])
    kept = metrics.aside(one.metrics).read_bytes().splitlines()
    assert kept == [line for line in bad if line] * 3  # nothing is lost
    metrics.aside(one.metrics).write_bytes(b"\n".join(kept))  # without a line's end, as an editor may leave it
    last = b'{"step": 3, "d_loss": 1e308}'  # whole, so no kill cut it short
    one.metrics.write_bytes(one.metrics.read_bytes() + b"[3]\n" + last)
    assert going_on.forget_after(one, 16) == good
    assert metrics.aside(one.metrics).read_bytes().splitlines() == [*kept, b"[3]", last]
    assert going_on.forget_after(one, 8) == good[:2]


def test_training_goes_on_over_bad_lines(tiny_run: Path, tmp_path: Path) -> None:
    from jaxgan.training.train import train

    shutil.copytree(tiny_run, tmp_path / "run")
    file = tmp_path / "run" / "metrics.jsonl"
    before = file.read_text().splitlines()
    file.write_bytes(b"\n\xff\n[]\n".join(line.encode() for line in before) + b"\n")
    recipe = runs.read(tmp_path / "run").recipe
    train(dataclasses.replace(recipe, steps=recipe.steps + 4), tmp_path / "run")
    assert file.read_text().splitlines()[:-1] == before
