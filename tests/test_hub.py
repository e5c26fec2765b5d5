"""The folder for the Hugging Face hub: it draws without this library, and nothing is sent unasked."""

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxgan import load_sampler
from jaxgan.commands.export import export
from jaxgan.publishing import card, forms, hub
from jaxgan.publishing import folder as folders
from jaxgan.publishing.product import Product
from jaxgan.recipes import Data, Recipe
from jaxgan.system import files
from jaxgan.system.messages import FieldError
from jaxgan.training import runs

FILES = {
    ".gitattributes", "README.md", "generator.jaxgan", "model.safetensors", "model.safetensors.sha256", "portable.py",
    "recipe.json", "sample.py", "samples.png",
}  # fmt: skip
# What sample.py needs, with what jax brings; jaxlib finds its plugins by packages of these names.
PROMISED = "jax,jaxlib,numpy,flatbuffers,ml_dtypes,opt_einsum,scipy,portable,jax_plugins,libtpu"


@pytest.fixture(scope="module")
def folder(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run, out=tmp_path_factory.mktemp("hub") / "tiny", form="hub", license_id="cc-by-4.0")


def test_what_lies_in_the_folder(folder: Path, tiny_run: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    card = (folder / "README.md").read_text()
    front = card.split("---")[1].strip().splitlines()
    assert front[:3] == ['license: "cc-by-4.0"', "library_name: jaxgan", "pipeline_tag: unconditional-image-generation"]
    for words in (
        "# digits GAN",
        "![samples](samples.png)",
        "`digits`, split `train`. Classes: 0 to 9.",
        "No evaluation was made",
    ):
        assert words in card
    assert json.loads((folder / "recipe.json").read_text())["step"] == 12
    sha256, name = (folder / "model.safetensors.sha256").read_text().split()
    assert (hashlib.sha256((folder / name).read_bytes()).hexdigest(), name) == (sha256, "model.safetensors")
    wanted = runs.read(tiny_run).sampler()(n=20, seed=5).images
    for form in ("model.safetensors", "generator.jaxgan"):
        np.testing.assert_array_equal(load_sampler(folder / form)(n=20, seed=5).images, wanted)
    with Image.open(folder / "samples.png") as picture:
        assert picture.size[0] > 80
    assert str(tiny_run.parent) not in card


def test_its_script_draws_with_what_was_promised_only(folder: Path, tiny_run: Path, tmp_path: Path) -> None:
    here = shutil.copytree(folder, tmp_path / "here")
    blocked = Path(__file__).parent / "blocked.py"

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(blocked), PROMISED, str(here / "sample.py"), *words]
        # Its modules must not come from beside the tests.
        of = {name: each for name, each in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(command, cwd=tmp_path, env=of, capture_output=True, text=True, timeout=120, check=False)

    wanted = runs.read(tiny_run).sampler()(n=6, seed=3, labels=4).images
    done = run("--n", "6", "--seed", "3", "--labels", "4", "--out", "six.png")
    assert (done.returncode, done.stdout) == (0, "six.png\n"), done.stderr[-2000:]
    with Image.open(tmp_path / "six.png") as picture:
        sheet = np.asarray(picture)
    tiles = sheet.reshape(2, 8, 3, 8).transpose(0, 2, 1, 3).reshape(6, 8, 8, 1)
    assert (tiles == wanted).mean() > 0.999
    assert run("--labels", "42").stderr.splitlines()[-1].startswith("sample.py: error: labels: 42, but the classes are")


@pytest.mark.parametrize(
    ("name", "title"),
    [("digits", "digits"), ("tfds:cats", "cats"), ("npz:/home/me/faces.npz", "faces"), ("folder:/x/birds", "birds")],
)
def test_a_card_has_the_name_of_the_data(name: str, title: str) -> None:
    nothing: Any = None
    product = Product(nothing, nothing, nothing, Recipe(data=Data(name)), 0)
    assert card.subject(product) == title
    assert "/home" not in product.data


def test_figures_stand_in_the_card_with_definitions_and_floors(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    floor = {"words": "100 of digits/test", "value": 1.5, "deviation": None, "n": 100}
    value = {"title": "Fréchet | distance", "mean": 9.876543, "floors": [floor], "better": "lower", "definition": "a distance"}
    (run / "evaluation.json").write_text(json.dumps({"step": 6, "values": {"fid": value, "other": value | {"mean": None}}}))
    folder = export(run, out=tmp_path / "folder", form="hub")
    card = (folder / "README.md").read_text()
    assert "Of step 6; the weights here are of step 12." in card
    assert "| Fréchet / distance | 9.877 | 1.5 (100 of digits/test) | lower |" in card
    assert "| Fréchet / distance | not finite |" in card
    assert "- Fréchet / distance, Fréchet / distance: a distance." in card
    assert "license" not in card.split("---")[1]
    assert "None was stated" in card
    assert (folder / "evaluation.json").is_file()
    (run / "evaluation.json").write_text("[]")
    with pytest.raises(FieldError, match="it is no evaluation"):
        export(run, out=tmp_path / "other", form="hub")
    assert not (tmp_path / "other").exists()


@dataclasses.dataclass
class Fake:
    """The two methods of the hub's client, noted."""

    fails: bool = False
    calls: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)

    def create_repo(self, repo_id: str, *, exist_ok: bool) -> None:
        self.calls.append(("create", {"repo_id": repo_id, "exist_ok": exist_ok}))
        if self.fails:
            raise ConnectionError("403 Forbidden:\nno rights")

    def upload_folder(self, **of: Any) -> None:
        self.calls.append(("upload", of))


def test_it_is_sent_where_that_is_asked_for_only(
    folder: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake()
    monkeypatch.setattr(hub, "client", lambda name: fake)
    export(tiny_run, out=tmp_path / "quiet", form="hub")
    assert fake.calls == []
    shutil.copytree(folder, tmp_path / "sent")
    (tmp_path / "sent" / "secret.txt").write_text("mine")
    out = export(tiny_run, out=tmp_path / "sent", form="hub", push="me/tiny", overwrite=True)
    (created, of), (uploaded, what) = fake.calls
    assert (created, of) == ("create", {"repo_id": "me/tiny", "exist_ok": True})
    assert (uploaded, what["repo_id"], what["folder_path"]) == ("upload", "me/tiny", str(out))
    assert set(what["allow_patterns"]) == FILES
    assert "# digits GAN" in (out / "README.md").read_text()
    fake.fails = True
    told = re.escape(f"push: me/tiny: the hub did not take it (403 Forbidden: no rights); {out} is whole")
    with pytest.raises(FieldError, match=f"^{told}$"):
        export(tiny_run, out=out, form="hub", push="me/tiny", overwrite=True)


def test_mistakes_cost_one_line_and_nothing_is_written(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"license_id": "MIT License"}, "license: MIT License, but it must be an identifier of the hub"),
        ({"push": "tiny"}, "push: tiny, but it must be OWNER/NAME"),
        ({"push": "me/tiny"}, "push: me/tiny: it needs the hub's client: pip install huggingface_hub"),
    ]
    for given, told in mistakes:
        with pytest.raises(FieldError, match=f"^{re.escape(told)}"):
            export(tiny_run, out=tmp_path / "x", form="hub", **given)
    monkeypatch.setattr(files, "memory", lambda: 1000)
    for of in ({"form": "hub"}, {"form": "file"}):
        out = tmp_path / ("x" if of["form"] == "hub" else "x.onnx")
        monkeypatch.setattr(forms.onnx_file, "check_installed", lambda: None)
        with pytest.raises(FieldError, match=r"out: weights of [\d,]+ bytes, but writing needs 4 times that"):
            export(tiny_run, out=out, **of)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_pickled(folder: Path) -> None:
    for path in folder.iterdir():
        head = path.read_bytes()[:2]
        assert head not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK"), path.name
    assert io.BytesIO((folder / "generator.jaxgan").read_bytes()).read(6) == b"jaxgan"


def test_of_two_that_write_the_same_folder_the_second_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, place = tmp_path / "hub", files.place

    def slower(made: Path, final: Path) -> None:
        final.mkdir()
        (final / "README.md").write_text("of the first")
        place(made, final)

    monkeypatch.setattr(files, "place", slower)
    for _ in range(2):  # it comes while this one writes; it was there before
        with pytest.raises(FieldError, match="hub, but it is not empty; --overwrite replaces"):
            folders.write(out, {"README.md": "of the second"})
    assert [each.name for each in tmp_path.iterdir()] == ["hub"]
    folders.write(out, {"README.md": "of the second"}, overwrite=True)
    assert (out / "README.md").read_text() == "of the second"
