"""The API reference builds from the docstrings without a warning and shows every public name."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import jaxgan

pytest.importorskip("pdoc")

ROOT = Path(__file__).parent.parent
COMMAND = re.compile(r"^ *(?:run: |- run: )?pdoc (jaxgan .*) -o site *$", re.MULTILINE)


def modules_of(page: str) -> list[str]:
    """Reads from a page the modules that its one command of pdoc documents."""
    (found,) = COMMAND.findall((ROOT / page).read_text(encoding="utf-8"))
    return shlex.split(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pdoc", *modules_of("README.md"), "-o", str(folder)]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    return folder


def test_what_is_published_is_what_the_readme_builds() -> None:
    assert modules_of(".github/workflows/docs.yml") == modules_of("README.md")


@pytest.mark.parametrize("name", jaxgan.__all__)
def test_every_public_name_has_its_place_and_its_docstring(site: Path, name: str) -> None:
    value = getattr(jaxgan, name)
    page = site / "jaxgan.html"
    if inspect.ismodule(value):
        page = site.joinpath(*value.__name__.split(".")).with_suffix(".html")
        begins = page.read_text(encoding="utf-8").split('<section class="module-info">')[1]
    else:
        begins = page.read_text(encoding="utf-8").split(f'<section id="{name}">')[1].split("</section>")[0]
    assert inspect.getdoc(value)
    assert '<div class="docstring">' in begins
