"""Every notebook is what its script says, and runs.

The `.py` is edited; `python tests/test_notebooks.py` makes the `.ipynb` of each, without outputs. A notebook is executed
in smoke mode: few steps, the same cells.
"""

import hashlib
import os
import re
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))
# A choice at the top of a notebook, made differently: it must run as well.
CHOICES = {"2_two_dimensions": {"OBJECTIVE": '"wasserstein"', "PENALTY": '"gradient_penalty"', "DENSITY": '"swiss_roll"'}}
MACHINE = re.compile(r"(?<![\w.])/(home|root|tmp|work|Users|mnt|var)/|[A-Z]:\\\\")

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])


def notebook_of(script: Path) -> NotebookNode:
    """What jupytext makes of a script, with the ids of cells derived from their text: made twice, it is the same."""
    notebook, seen = jupytext.read(script), Counter[str]()
    notebook.metadata.jupytext.pop("text_representation", None)  # that of the script; `jupytext --sync` leaves it out too
    for cell in notebook.cells:
        name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return notebook


def execute(notebook: NotebookNode, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[NotebookNode]:
    """Runs all cells in a kernel of this interpreter, with `folder` as working directory and home of all settings."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(folder / ".jupyter"))
    work = folder / "work"
    work.mkdir()
    # As a user's kernel starts: one device, of two values XLA takes the last, and figures inline.
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1"
    env |= {"JAXGAN_SMOKE": "1", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(work)}})
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
    assert kept.cells == made.cells, "python tests/test_notebooks.py makes it anew"
    assert kept.metadata == made.metadata
    for cell in kept.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert not MACHINE.search(text)


@every_script
def test_the_first_code_cell_installs_where_it_must(script: Path) -> None:
    first = next(cell for cell in notebook_of(script).cells if cell.cell_type == "code")
    assert "import jaxgan" in first.source
    assert "%pip install" in first.source
    assert "# %pip" not in first.source


@every_script
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


def main() -> int:
    for script in SCRIPTS:
        nbformat.write(notebook_of(script), script.with_suffix(".ipynb"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
