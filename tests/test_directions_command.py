"""Directions of runs: each method says what it used, sheets are drawn, and mistakes are one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import cli
from jaxgan.latent import kept
from jaxgan.training.train import train

EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("directions") / "run"))


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    shutil.copy(EXAMPLES / "mapped.py", folder)
    return train(str(folder / "mapped.py"), folder / "run").path


def ink(images: np.ndarray) -> Any:
    assert images.dtype == np.uint8
    return images.reshape(len(images), -1).mean(axis=1)


@pytest.mark.parametrize("method", ["pca", "factorise"])
def test_methods_that_need_no_labels(run: Path, mapped: Path, method: str) -> None:
    found = jaxgan.directions(run, method=method, count=3)
    assert found.vectors.shape == (3, 8)
    assert found.about["made"].startswith(
        {"pca": "eigenvectors of the mean of J^T J", "factorise": "eigenvectors of A^T A"}[method]
    )
    assert kept.read(run, method).about == found.about
    with Image.open(run / "directions" / f"{method}.png") as sheet:
        assert sheet.height == 3 * 50 + 2 + 18  # seven steps of three directions, with the steps over and the names beside
        assert sheet.width > 7 * 50 + 2 + 30
    styles = jaxgan.directions(mapped, method=method, count=2)
    assert (styles.space, styles.vectors.shape) == ("w", (2, 6))
    if method == "factorise":
        _generator, weights, _ = jaxgan.runs.read(mapped).generator()
        both = np.concatenate([np.asarray(weights.params[name]).T for name in ("coarse", "fine")])
        top = np.linalg.eigh(both.T @ both)[1][:, -1]
        assert abs(styles.vectors[0] / np.linalg.norm(styles.vectors[0]) @ top) > 0.999
    else:
        assert styles.about["made"] == "principal directions of 4,000 styles"


def test_a_function_of_the_images_grows_along_its_direction(run: Path) -> None:
    found = jaxgan.directions(run, function=ink)
    assert found.name == "ink"
    assert 0.05 < found.values[0] <= 1.0
    sampler = jaxgan.load_sampler(run)
    z = np.asarray(sampler.functions.latents(5, np.arange(40, dtype=np.int32)))
    low, high = (ink(sampler(z=z + step * found.vectors[0], labels=3).images).mean() for step in (-1.5, 1.5))
    assert high > low + 2.0
    bright = jaxgan.directions(run, function=lambda images: ink(images) > np.median(ink(images)), name="bright")
    assert bright.about["made"].startswith("logistic regression")
    cosine = bright.vectors[0] @ found.vectors[0] / np.linalg.norm(bright.vectors[0]) / np.linalg.norm(found.vectors[0])
    assert cosine > 0.5


def test_classes_of_styles(mapped: Path) -> None:
    found = jaxgan.directions(mapped, labels=[3, 7])
    assert found.name == "3-to-7"
    _generator, weights, _ = jaxgan.runs.read(mapped).generator()
    label = np.asarray(weights.params["label"])
    assert found.vectors[0] @ (label[7] - label[3]) > 0
    assert found.values[0] > 0.6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--labels 3 7", "labels: 3 7, but z is drawn alike for every class of this generator"),
        ("--method umap", "umap"),
        ("--count 99", "count: 99, but it must be from 1 to 8, the length of a latent"),
        ("--name a/b", "name: 'a/b', but it must be of letters"),
        ("--function f.py:nothing", "f.py has no nothing"),
        ("--function f.py:broken", "function: broken: ZeroDivisionError: division by zero (f.py, line 2)"),
        ("--function f.py:whole", "function: int64 [] for 2000 images, but it must return one number each"),
        ("--function f.py:all_of_it", "function: True for every image, but it must tell images apart"),
        ("--function f.py:leaves", "function: leaves: SystemExit: 3 (f.py, line 11)"),
        ("--function f.py", "function: 'f.py', but it must be file.py:NAME or module:NAME"),
        ("--function f.py:same --count 2", "count: 2, but labels and a function give one direction"),
        ("--function f.py:same --method factorise", "method: factorise, but it finds directions of the generator alone"),
        ("--features digits", "features: digits, but they read the classes of --labels"),
        ("--function f.py:same", "function: 0 for every image, but it must tell images apart"),
        ("--out x.txt", "out: x.txt ends in '.txt', but it must be one of .png"),
    ],
)
def test_mistakes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    monkeypatch.chdir(tmp_path)
    functions = ["def broken(x):\n    return 1 / 0", "def whole(x):\n    return 3", "def same(x):\n    return [0.0] * len(x)"]
    functions += [
        "import numpy\ndef all_of_it(x):\n    return numpy.ones(len(x), bool)",
        "def leaves(x):\n    raise SystemExit(3)",
    ]
    Path("f.py").write_text("\n".join(functions) + "\n")
    before = kept.names(run)
    with pytest.raises(SystemExit) as stop:
        cli.main(["directions", str(run), *words.split()])
    assert stop.value.code == 2
    assert told in capsys.readouterr().err
    assert kept.names(run) == before


def test_the_command_says_where_they_are(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    cli.main(["directions", str(run), "--method", "factorise", "--count", "2", "--name", "two"])
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "directions" / "two.npz")
    with np.load(run / "directions" / "two.npz") as held:
        assert json.loads(str(held["about"]))["space"] == "z"
