"""What comes from a file or a command line, mutated at random: the right result or one error in a line, and nothing else.

2,000 cases that are the same each time. `JAXGAN_FUZZ=50` takes fifty times as many, other ones each time.
"""

import contextlib
import io
import json
import os
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxgan import cli
from jaxgan.commands import arguments, options
from jaxgan.data import array, folder
from jaxgan.evaluation import verdict
from jaxgan.evaluation.features import cache
from jaxgan.recipes import Recipe, check, fields, record
from jaxgan.system import arrays, files
from jaxgan.training import metrics, runs, tensors
from jaxgan.weights import torch_file

TESTS = Path(__file__).parent.parent
FIXTURES, GOLDENS = TESTS / "fixtures", TESTS / "goldens"
TIMES = int(os.environ.get("JAXGAN_FUZZ", "1"))


def cases(count: int) -> Callable[[Any], Any]:
    """So many examples of a test: the same ones each time, unless more were asked for."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    chosen = settings(
        max_examples=count * TIMES, derandomize=TIMES == 1, database=None, deadline=None, suppress_health_check=checks
    )
    return lambda test: pytest.mark.faults(count * TIMES)(chosen(test))


@contextlib.contextmanager
def refused(*kinds: type[Exception]) -> Any:
    """Errors of these kinds are right if their message is one line of a reasonable length."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except kinds as error:
        line = cli._words(error)
        assert line.strip()
        assert "\n" not in line.strip()
        assert len(line) < 4000


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -(10**400), 2**31, 2**63, -1, 0, 1, 10**300]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "mlp", "r1", "my.py:Mine", "os:system", "folder:x", "inf", "nan", "\0", "\ud800"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)


def paths(content: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested lists and dicts."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [before, *(path for key, each in items for path in paths(each, (*before, key)))]


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The same with another value at a place; a dict loses the key where the value is `...`."""
    if not path:
        return None if value is ... else value
    copy = dict(content) if isinstance(content, dict) else list(content)
    if value is ... and len(path) == 1 and isinstance(copy, dict):
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def damaged(content: bytes, seed: int) -> bytes:
    """A file after a few bytes were flipped, cut out, doubled or set, at random."""
    draw = random.Random(seed)
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        place, length = draw.randrange(len(found) + 1), draw.choice([1, 2, 4, 8, 100])
        kind = draw.randrange(5)
        if kind == 0 and place < len(found):
            found[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del found[place : place + length]
        elif kind == 2:
            found[place:place] = found[place : place + length]
        elif kind == 3:
            found[place : place + length] = draw.choice([b"\xff", b"\0", b"9", b"["]) * length
        else:
            del found[place:]
    return bytes(found)


LEAVES = [path for path, _, _ in fields.leaves(Recipe())]
words = st.one_of(
    scalars.map(str), st.sampled_from(["1e400", "0x10", "--", "None", "True", "9" * 5000, "-0", "1,2", "１", " "])
)


@cases(120)
@given(st.lists(st.tuples(st.sampled_from(LEAVES), words), min_size=1, max_size=3))
def test_recipe_values_of_the_command_line(given_: list[tuple[str, str]]) -> None:
    line = [word for path, value in given_ for word in (f"--{path.replace('_', '-')}", value)]
    with refused(options.Mistake, ValueError, FileNotFoundError), contextlib.redirect_stdout(io.StringIO()):
        found, rest = options.named(["digits", *line])
        check(options.parse_with_recipe("plan", arguments.Plan, found.recipe, rest).recipe)


RECIPE = json.loads((FIXTURES / "run_format_2" / "recipe.json").read_text())
FIRST = json.loads((FIXTURES / "run_format_1" / "recipe.json").read_text())


def read_recipe(folder: Path, content: bytes) -> runs.Run | None:
    (folder / "recipe.json").write_bytes(content)
    with refused(ValueError, FileNotFoundError):
        return runs.read(folder)
    return None


@cases(400)
@given(
    st.sampled_from([RECIPE, FIRST]).flatmap(lambda each: st.tuples(st.just(each), st.sampled_from(paths(each)))),
    st.one_of(values, st.just(...)),
)
def test_a_recipe_json_with_another_value(tmp_path: Path, place: tuple[Any, tuple[Any, ...]], value: Any) -> None:
    read_recipe(tmp_path, json.dumps(changed(*place, value)).encode("utf-8", "replace"))


@cases(200)
@given(st.sampled_from([RECIPE, FIRST]), st.integers(0, 2**32))
def test_a_damaged_recipe_json(tmp_path: Path, content: Any, seed: int) -> None:
    read_recipe(tmp_path, damaged(json.dumps(content, indent=2).encode(), seed))


@cases(25)
@given(st.sampled_from(paths(RECIPE["recipe"])[1:] + [("data", "shape")] * 5), st.integers(-1, 2**40))
def test_a_recipe_json_that_is_built(tmp_path: Path, path: tuple[Any, ...], value: int) -> None:
    """With another number, where a number may stand, the networks are built, or refused."""
    content = RECIPE | {"recipe": changed(RECIPE["recipe"], path, value)} if path != ("data", "shape") else RECIPE
    if path == ("data", "shape"):
        content = RECIPE | {"data": RECIPE["data"] | {"shape": [value % 2**31, 8, 1]}}
    run = read_recipe(tmp_path, json.dumps(content).encode())
    if run is not None and run.recipe.generator.width < 2**14 and run.recipe.generator.depth < 9:
        with refused(ValueError):
            assert run.experiment().abstract.step.shape == ()


good_rows = st.builds(
    lambda step, loss: {"step": step, "images": 8 * step, "seconds": 0.1, "d_loss": loss, "verdict": None},
    st.integers(0, 10**6),
    st.one_of(st.none(), st.floats(-metrics.LARGEST, metrics.LARGEST)),
)
bad_lines = st.one_of(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\xff"), st.just(b""), st.just(b"[]"))
json_lines = st.dictionaries(
    st.sampled_from(["step", "images", "seconds", "d_loss", "members", "verdict", "evidence", "x"]), values, max_size=6
)


@cases(300)
@given(st.lists(st.one_of(good_rows, bad_lines), max_size=12))
def test_good_rows_of_metrics_stay(tmp_path: Path, lines: list[Any]) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines))
    found, left_out = metrics.read(file)
    assert found == [each for each in lines if not isinstance(each, bytes)]
    assert len(left_out) == len(lines) - len(found)


@cases(200)
@given(st.lists(json_lines, max_size=6), st.integers(0, 2**32))
def test_rows_of_metrics_of_any_form(tmp_path: Path, rows: list[Any], seed: int) -> None:
    """What is read can be judged and written again."""
    file = tmp_path / "metrics.jsonl"
    whole = [{"step": 3, "images": 24, "seconds": 1.0} | each for each in rows]
    text = "".join(json.dumps(each) + "\n" for each in [*rows, *whole]).encode("utf-8", "replace")
    file.write_bytes(damaged(text, seed) if seed % 2 else text)
    found, left_out = metrics.read(file)
    assert all("\n" not in each for each in left_out)
    metrics.write(file, found)
    assert metrics.read(file) == (found, [])
    verdict.judge([each for each in found if not each.get("members")], equilibrium=None, largest=None)
    verdict.best(found, "d_loss", "lower")


def zipped(content: dict[str, np.ndarray], packed: bool) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, **content)
    return file.getvalue()


NPZ = [
    zipped({"images": np.arange(5 * 64, dtype="u1").reshape(5, 8, 8), "labels": np.arange(5)}, packed)
    for packed in (True, False)
]


@cases(250)
@given(st.sampled_from(NPZ), st.integers(0, 2**32))
def test_a_damaged_npz(tmp_path: Path, content: bytes, seed: int) -> None:
    (tmp_path / "x.npz").write_bytes(damaged(content, seed))
    with refused(ValueError):
        (images, labels), _ = array.npz(tmp_path / "x.npz", None, None, None)
        assert len(images) == len(labels)


@cases(150)
@given(
    st.text("|<>=fuiOSVcbMm0123456789", min_size=1, max_size=4),
    st.one_of(
        st.lists(st.integers(-3, 2**70), max_size=4).map(lambda shape: f"{tuple(shape)}"), st.text("()0123456789,", max_size=9)
    ),
    st.binary(max_size=80),
)
def test_a_header_of_npy_that_claims_anything(tmp_path: Path, kind: str, shape: str, body: bytes) -> None:
    head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + body
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", content)
    with refused(ValueError):
        assert arrays.npy(tmp_path / "x.npy").nbytes <= len(body)
    with refused(ValueError):
        array.npz(tmp_path / "x.npz", None, None, None)


EXPORT = (FIXTURES / "format_2.safetensors").read_bytes()
LENGTH = int.from_bytes(EXPORT[:8], "little")


@cases(150)
@given(st.integers(0, 2**32))
def test_a_damaged_export(tmp_path: Path, seed: int) -> None:
    """Its header is what is damaged: that the numbers are others only its checksum tells, which is not here."""
    head = damaged(EXPORT[: 8 + LENGTH], seed)
    (tmp_path / "g.safetensors").write_bytes(head + EXPORT[8 + LENGTH :])
    with refused(ValueError):
        tensors.load(tmp_path / "g.safetensors")


@cases(100)
@given(st.integers(0, 2**32))
def test_a_damaged_file_of_features_with_its_checksum(tmp_path: Path, seed: int) -> None:
    content, _ = cache.packed({"a": {"b": np.arange(6.0)}, "c": np.ones((2, 3), np.float32)}, {"name": "x"})
    content = damaged(content, seed)
    cache.write(tmp_path / "x.safetensors", content, files.sha256(content))
    with refused(ValueError):
        cache.read(tmp_path / "x.safetensors")


TORCH = {name: (GOLDENS / name).read_bytes() for name in ("torch_zip.pth", "torch_legacy.pth", "torch_persistent.pkl")}


@cases(300)
@given(st.sampled_from([*TORCH, "x.safetensors"]), st.integers(0, 2**32))
def test_a_damaged_file_of_weights(tmp_path: Path, name: str, seed: int) -> None:
    (tmp_path / name).write_bytes(damaged(TORCH.get(name, EXPORT), seed))
    with refused(ValueError):
        torch_file.read(tmp_path / name)


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype="u1").reshape(8, 8, 3)).save(file, kind)
    return file.getvalue()


PICTURES = {kind: picture(kind) for kind in ("PNG", "JPEG", "WEBP")}


@cases(75)
@given(st.sampled_from(list(PICTURES)), st.integers(0, 2**32))
def test_a_damaged_picture_among_others(tmp_path: Path, kind: str, seed: int) -> None:
    shutil.rmtree(tmp_path / "p", ignore_errors=True)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(PICTURES["PNG"])
    (tmp_path / "p" / f"b.{kind.lower()}").write_bytes(damaged(PICTURES[kind], seed))
    with refused(ValueError):  # of another size, it is asked for one
        assert 1 <= len(folder.source(tmp_path / "p", image_size=None, channels=3).everything()[0]) <= 2


def test_the_limits_of_a_recipe_are_those_of_its_record() -> None:
    """An integer above every float is refused where it comes from, not where it is compared."""
    for value in (10**400, -(10**400)):
        with pytest.raises(ValueError, match="steps"):
            check(Recipe(steps=value))
    with pytest.raises(ValueError, match="format"):
        record.canonical({}, 10**400)
