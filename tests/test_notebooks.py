"""Every notebook is what its script says, runs, and is kept with the outputs of a full run.

The `.py` is edited; `python tests/test_notebooks.py [NAME ..]` executes each in full and makes the `.ipynb`. The tests
execute them in smoke mode: few steps, the same cells.
"""

import base64
import hashlib
import io
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image, ImageSequence

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))
TRANSLATED = [path for path in SCRIPTS if path.suffixes != [".py"]]  # 1_how_a_gan_learns.vi.py: the same code, other words
OWN = [path for path in SCRIPTS if path not in TRANSLATED]
MOST = 1.5e6  # bytes of a notebook with its outputs
# A choice at the top of a notebook, made differently: it must run as well.
CHOICES = {"2_two_dimensions": {"OBJECTIVE": '"wasserstein"', "PENALTY": '"gradient_penalty"', "DENSITY": '"swiss_roll"'}}
MACHINE = re.compile(r"(?<![\w.])/(home|root|tmp|work|Users|mnt|var)/|[A-Z]:\\\\")

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
every_own = pytest.mark.parametrize("script", OWN, ids=[path.stem for path in OWN])


def notebook_of(script: Path) -> NotebookNode:
    """What jupytext makes of a script, with the ids of cells derived from their text: made twice, it is the same."""
    notebook, seen = jupytext.read(script), Counter[str]()
    notebook.metadata.jupytext.pop("text_representation", None)  # that of the script; `jupytext --sync` leaves it out too
    for cell in notebook.cells:
        name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return notebook


def cells(notebook: NotebookNode) -> list[tuple[str, str, str]]:
    """The cells without what a run adds to them."""
    return [(cell.id, cell.cell_type, cell.source) for cell in notebook.cells]


def execute(notebook: NotebookNode, folder: Path, monkeypatch: pytest.MonkeyPatch, *, smoke: bool = True) -> list[NotebookNode]:
    """Runs all cells in a kernel of this interpreter, with `folder` as working directory and home of all settings."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(folder / ".jupyter"))
    work = folder / "work"
    work.mkdir()
    # As a user's kernel starts: one device, of two values XLA takes the last, and figures inline.
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=1"
    env |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags} | ({"JAXGAN_SMOKE": "1"} if smoke else {})
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(work)}})
    client.execute(env=env)
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def check(outputs: list[NotebookNode]) -> None:
    printed = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert not printed, "".join(printed)
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_notebooks() -> None:
    assert SCRIPTS
    assert [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))] == [path.stem for path in SCRIPTS]


@every_script
def test_the_pair_agrees(script: Path) -> None:
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    kept, made = nbformat.reads(text, as_version=4), notebook_of(script)
    nbformat.validate(kept)
    assert cells(kept) == cells(made), f"python tests/test_notebooks.py {script.stem} makes it anew"
    assert kept.metadata.jupytext == made.metadata.jupytext
    assert not MACHINE.search(text)


@every_script
def test_it_is_kept_with_its_outputs(script: Path) -> None:
    file = script.with_suffix(".ipynb")
    assert file.stat().st_size < MOST
    code = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    check([output for cell in code for output in cell.outputs])


@pytest.mark.parametrize("script", TRANSLATED, ids=[path.stem for path in TRANSLATED])
def test_a_translation_has_the_same_code_and_a_text_for_each_of_the_texts(script: Path) -> None:
    original = NOTEBOOKS / f"{script.name.split('.')[0]}.py"
    ours, theirs = notebook_of(original).cells, notebook_of(script).cells
    assert [cell.cell_type for cell in theirs] == [cell.cell_type for cell in ours]
    for mine, other in zip(ours, theirs, strict=True):
        assert (other.source == mine.source) == (mine.cell_type == "code")
        assert other.source.count("$$") == mine.source.count("$$")


@every_script
def test_the_first_code_cell_installs_where_it_must(script: Path) -> None:
    first = next(cell for cell in notebook_of(script).cells if cell.cell_type == "code")
    assert "import jaxgan" in first.source
    assert "%pip install" in first.source
    assert "# %pip" not in first.source


@every_own
def test_it_runs(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(execute(notebook_of(script), tmp_path, monkeypatch))


@pytest.mark.parametrize("name", CHOICES)
def test_it_runs_with_other_choices(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = notebook_of(NOTEBOOKS / f"{name}.py")
    for variable, value in CHOICES[name].items():
        found = 0
        for cell in notebook.cells:
            cell.source, count = re.subn(rf"^{variable} = [^#\n]*", f"{variable} = {value}  ", cell.source, flags=re.MULTILINE)
            found += count
        assert found == 1, variable
    check(execute(notebook, tmp_path, monkeypatch))


def slimmed(notebook: NotebookNode) -> None:
    """Makes the pictures of a notebook small enough to be kept: fewer colours, animations of two thirds of the side."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in {"image/png", "image/gif", "image/webp"} & set(output.get("data", {})):
                with Image.open(io.BytesIO(base64.b64decode(output.data[kind]))) as image:
                    made = io.BytesIO()
                    if kind == "image/png":
                        image.convert("RGB").quantize(96).save(made, "PNG", optimize=True)
                    else:
                        size = (2 * image.width // 3, 2 * image.height // 3)
                        frames = [frame.convert("RGB").resize(size) for frame in ImageSequence.Iterator(image)]
                        waits = [frame.info.get("duration", 100) for frame in ImageSequence.Iterator(image)]
                        more = {"quality": 60} if kind == "image/webp" else {}
                        if kind == "image/gif":
                            frames = [frame.quantize(16, dither=Image.Dither.NONE) for frame in frames]
                        frames[0].save(made, kind[6:], save_all=True, append_images=frames[1:], duration=waits, loop=0, **more)
                output.data[kind] = base64.b64encode(made.getvalue()).decode()


def main() -> int:
    """Executes the notebooks that are named, or all, and writes each with its outputs; a translation has its original's."""
    for script in [NOTEBOOKS / f"{name}.py" for name in sys.argv[1:]] or OWN:
        notebook, began = notebook_of(script), time.monotonic()
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            execute(notebook, Path(folder), patch, smoke=False)
        slimmed(notebook)
        notebook.metadata.pop("language_info", None)  # the version of this interpreter
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # the hours of the run
        nbformat.write(notebook, script.with_suffix(".ipynb"))
        for other in [path for path in TRANSLATED if path.name.startswith(f"{script.stem}.")]:
            translation = notebook_of(other)
            for cell, done in zip(translation.cells, notebook.cells, strict=True):
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = done.outputs, done.execution_count
            nbformat.write(translation, other.with_suffix(".ipynb"))
        print(f"{script.stem}: {time.monotonic() - began:.0f} s, {script.with_suffix('.ipynb').stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
