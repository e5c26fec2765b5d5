"""The page that samples in the browser: it draws the sampler's pictures, by itself, without a network."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import browser
import jax
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan.commands.export import export
from jaxgan.core import latents
from jaxgan.latent import kept
from jaxgan.publishing import runtime
from jaxgan.system.messages import FieldError
from jaxgan.training import runs

pytest.importorskip("onnx", reason="needs jaxgan[onnx]")
pytest.importorskip("onnxruntime", reason="needs jaxgan[onnx]")

PIXELS = """(id => {{ const c = document.getElementById(id);
    return [c.width, c.height, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)] }})('{}')"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked onnxruntime-web, as npm fetches it."""
    try:
        found = runtime.of(None)
    except FieldError as error:
        pytest.skip(f"no onnxruntime-web: {error}")
    folder = tmp_path_factory.mktemp("package")
    (folder / "dist").mkdir()
    for name, content in found.contents.items():
        (folder / "dist" / name).write_bytes(content)
    (folder / "package.json").write_text(json.dumps({"name": runtime.PACKAGE, "version": found.version}))
    return folder


@pytest.fixture(scope="module")
def folder(tiny_run: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run, out=tmp_path_factory.mktemp("page") / "page", form="page", runtime=package)


def seen(page: browser.Page, canvas: str) -> np.ndarray:
    width, height, data = page.run(PIXELS.format(canvas))
    return np.array(data, np.uint8).reshape(height, width, 4)[..., :3]


def tiles(picture: np.ndarray, count: int, columns: int) -> np.ndarray:
    """The pictures of 8x8 pixels of a sheet with a gap of one pixel."""
    places = [divmod(i, columns) for i in range(count)]
    return np.stack([picture[9 * row : 9 * row + 8, 9 * column : 9 * column + 8] for row, column in places])


def test_the_page_draws_the_samplers_pictures(tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    sampler = runs.read(tiny_run).sampler()
    with browser.files(folder) as url, browser.page(url) as page:
        page.wait("document.body.dataset.drawn === '1' && document.body.dataset.walked === '1'")
        page.run("document.querySelector('#seed').value = 7, document.querySelector('#count').value = 20")
        page.run("document.querySelector('#draw').requestSubmit()")
        page.wait("document.body.dataset.drawn === '2'")
        made = tiles(seen(page, "pictures"), 20, 10)
        assert (made == sampler(n=20, seed=7).images).mean() > 0.99
        assert "20 pictures of seed 7, classes 0, 1" in page.run("document.querySelector('#pictures').ariaLabel")

        page.run("document.querySelector('#class').value = 3")
        page.run("document.querySelector('#class').dispatchEvent(new Event('change'))")
        page.wait("document.body.dataset.drawn === '3'")
        made = tiles(seen(page, "pictures"), 20, 5)
        assert (made == sampler(n=20, seed=7, labels=3).images).mean() > 0.99

        start = seen(page, "between")
        assert (start == sampler(n=1, seed=0, labels=0).images).mean() > 0.99
        page.run("document.querySelector('#share').focus()")
        page.press("ArrowRight", 39)
        page.wait("document.querySelector('#at').value === '1 %' && document.body.dataset.walked === '2'")
        page.press("End", 35)
        page.wait("document.querySelector('#at').value === '100 %' && document.body.dataset.walked === '3'")
        end = seen(page, "between")
        assert (end != start).any()
        assert (end == sampler(n=1, seed=1, labels=0).images).mean() > 0.99

        page.downloads(tmp_path)
        page.run("document.querySelector('#keep').click()")
        end_of_patience = time.monotonic() + 60
        while not (tmp_path / "seeds-0-1-100.png").is_file() and time.monotonic() < end_of_patience:
            page.wait("new Promise(done => setTimeout(() => done(true), 100))")
        with Image.open(tmp_path / "seeds-0-1-100.png") as saved:
            np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), end)

        named = "[...document.querySelectorAll('input, select')].every(each => each.labels.length === 1)"
        assert page.run(named)
        page.resize(390, 844, phone=True)
        assert page.run("document.documentElement.scrollWidth") <= 390
        assert page.errors == []
        assert all(each.startswith((url, "blob:")) for each in page.requests)
        page.run("document.querySelector('#seed').value = -1, document.querySelector('#draw').requestSubmit()")
        page.wait("document.querySelector('#seed:invalid') !== null")
    with browser.page((folder / "index.html").as_uri()) as page:
        assert "python -m http.server" in page.run("document.querySelector('#status').textContent")


def test_a_slider_moves_along_a_direction_that_was_saved(tiny_run: Path, package: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    sampler = runs.read(run).sampler()
    length = runs.read(run).generator()[0].latent_dim
    vectors = np.eye(length, dtype=np.float32)[:2] * 2.0
    kept.write(run, kept.Directions("mine", "z", vectors, np.ones(2), {}))
    kept.write(run, kept.Directions("styles", "w", vectors, np.ones(2), {}))  # of another space
    site = export(run, out=tmp_path / "page", form="page", runtime=package)
    with browser.files(site) as url, browser.page(url) as page:
        page.wait("document.body.dataset.turned === '1'")
        assert page.run("document.querySelectorAll('#sliders input').length") == 2
        assert (seen(page, "moved") == sampler(n=1, seed=0, labels=0).images).mean() > 0.99
        page.run("document.querySelector('#direction-1').value = 1.5")
        page.run("document.querySelector('#direction-1').dispatchEvent(new Event('input', {bubbles: true}))")
        page.wait("document.body.dataset.turned === '2'")
        z = np.asarray(latents.draw(jax.random.key(0), np.array([0]), length)) + 1.5 * vectors[1]
        assert (seen(page, "moved") == sampler(z=z, labels=0).images).mean() > 0.99
        assert "mine:2 by 1.5" in page.run("document.querySelector('#moved').ariaLabel")
        page.run("document.querySelector('#turn').reset()")
        page.wait("document.body.dataset.turned === '3'")
        assert (seen(page, "moved") == sampler(n=1, seed=0, labels=0).images).mean() > 0.99
        assert page.errors == []


def test_numbers_are_those_of_jax(folder: Path) -> None:
    with browser.files(folder) as url, browser.page(f"{url}page.css") as page:
        draws = f"import('{url}draws.mjs').then(d => Array.from({{}}))"
        for seed, i in ((0, 0), (7, 3), (2**32 - 1, 9_999_999)):
            key = jax.random.fold_in(jax.random.key(seed), i)
            bits = page.run(draws.format(f"d.bits(d.foldIn(d.keyOf({seed}), {i}), 9)"))
            np.testing.assert_array_equal(np.array(bits, np.uint32), jax.random.bits(key, (9,)))
            for kind in ("normal", "uniform", "sphere"):
                z = page.run(draws.format(f"d.latent('{kind}', {seed}, {i}, 2000)"))
                wanted = latents.draw(jax.random.key(seed), np.array([i]), 2000, latent=getattr(latents, kind))[0]
                np.testing.assert_allclose(np.array(z, np.float32), wanted, rtol=2e-6, atol=2e-7)
        a, b = (np.asarray(latents.normal(jax.random.key(n), (64,))) for n in (1, 2))
        way = page.run(draws.format(f"d.between({a.tolist()}, {b.tolist()}, 0.3)"))
        np.testing.assert_allclose(way, latents.slerp(a, b, np.float32(0.3)), rtol=1e-4, atol=1e-5)
        assert page.run(draws.format("d.between([1, 2], [1, 2], 0.5)")) == [1, 2]


def test_what_lies_in_the_folder(folder: Path, tiny_run: Path, package: Path, tmp_path: Path) -> None:
    record = json.loads((folder / "files.json").read_text())
    assert record["runtime"] == {"package": "onnxruntime-web", "version": runtime.VERSION, "license": "MIT"}
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == set(record["sha256"]) | {"files.json"}
    assert all(jaxgan.system.files.sha256((folder / name).read_bytes()) == each for name, each in record["sha256"].items())
    assert "http" not in (folder / "page.mjs").read_text()

    mine = tmp_path / "site"
    shutil.copytree(folder, mine)
    (mine / "mine.txt").write_text("mine")
    (mine / "model.onnx").write_bytes(b"old")
    with pytest.raises(FieldError, match="it is not empty; --overwrite replaces"):
        export(tiny_run, out=mine, form="page", runtime=package)
    assert (mine / "model.onnx").read_bytes() == b"old"
    export(tiny_run, out=mine, form="page", runtime=package, overwrite=True, precision="int8")
    assert (mine / "mine.txt").read_text() == "mine"
    assert 0 < (mine / "model.onnx").stat().st_size < (folder / "model.onnx").stat().st_size


def test_what_is_copied_is_in_version_control_and_so_in_the_wheel() -> None:
    root = Path(__file__).parent.parent
    if not (root / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git, or no repository of it")
    ignored = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--", "jaxgan/publishing"]
    found = subprocess.run(ignored, cwd=root, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    assert [each for each in found if "__pycache__" not in each] == []


def test_a_runtime_that_is_none_costs_a_line(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "package.json").write_text('{"name": "leftpad"}')
    out = tmp_path / "page"
    for given, told in ((tmp_path / "none", "there is no such file"), (tmp_path / "other", "must be an unpacked package")):
        with pytest.raises(FieldError, match=f"runtime: .*{told}.*npm pack onnxruntime-web@") as caught:
            export(tiny_run, out=out, form="page", runtime=given)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FieldError, match="runtime: no npm on the path to fetch it; on a machine with npm"):
        export(tiny_run, out=out, form="page")
    assert not out.exists()
