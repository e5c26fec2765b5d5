"""Python examples of the READMEs run as printed, tables and commands say what the program does, and links lead somewhere."""

import re
import tomllib
from pathlib import Path

import promises
import pytest

import jaxgan
from jaxgan import cli, recipes
from jaxgan.training.dataset import open_data
from jaxgan.training.experiment import build

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
IMAGES, OWN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
*_, BY_HAND = re.findall(r"```python\n(.*?)```", (ROOT / "jaxgan/core/README.md").read_text(), re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "jaxgan").rglob("README.md"))]


def test_the_step_by_hand_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(BY_HAND.splitlines()) <= 26
    names: dict[str, object] = {}
    exec(compile(BY_HAND, "README.md", "exec"), names)
    assert names["samples"].shape == (1000, 2)
    assert "'d_loss':" in capsys.readouterr().out


def test_images_come_on_the_screen(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setenv("MPLBACKEND", "agg")
    shown: list[list[int]] = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    code = IMAGES.replace('jaxgan.train("digits", "runs/digits")', f"jaxgan.runs.read({str(tiny_run)!r})")
    assert code != IMAGES
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["images"].shape == (16, 8, 8, 1)
    assert len(shown) == len(shown[0]) == 1
    plt.close("all")


def test_the_file_of_own_parts_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN)
    command, words = cli._command(["plan", str(tmp_path / "my.py"), "--generator.width", "8"])
    arguments, _ = cli._arguments(command, cli.COMMANDS[command][0], words)
    params = build(arguments.recipe, dataset=open_data(arguments.recipe)).abstract.g.params
    assert {each["kernel"].shape for each in params.values()} == {(4, 8), (8, 8), (8, 2)}


def test_the_tables_of_recipes_name_every_recipe() -> None:
    page = (ROOT / "jaxgan/recipes/README.md").read_text().partition("## The library's recipes")[2].partition("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(recipes.NAMES)
    section = README.partition("## Recipes")[2].partition("## ")[0]
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section, re.MULTILINE)
    others = section.partition("Not measured yet")[2]
    assert sorted(re.findall(r"`(\w+)`", " ".join([*cells, others]))) == sorted(recipes.NAMES)


def test_the_table_of_faults_is_the_suite_s() -> None:
    """Names are those of today, every test in it is there, and nothing that was tried failed."""
    made = promises.README.read_text().split(promises.BEGIN)[1].split(promises.END)[0]
    rows = re.findall(r"^\| (.+) \| ([\d,]+) \| ([\d,]+) \|$", made, re.MULTILINE)
    assert [words for words, _, _ in rows] == list(promises.PROMISES)
    assert all(tried == survived != "0" for _, tried, survived in rows)
    there = set()
    for file in (ROOT / "tests" / "faults").glob("test_*.py"):
        names = re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
        there |= {*names, *(f"{file.stem}.{name}" for name in names)}
    assert {name for names in promises.PROMISES.values() for name in names} <= there


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_it_shows_parses(page: Path, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN)
    commands = "|".join(name.split()[0] for name in cli.COMMANDS)
    shown = re.findall(rf"^(?:.*&& )?jaxgan ((?:{commands})\b.*)$", page.read_text(), re.MULTILINE)
    assert len(shown) >= 6 or page != ROOT / "README.md"
    for line in shown:
        command, words = cli._command(line.partition("#")[0].split())
        if command == "train" and words and words[0].startswith("runs/"):
            words[0] = str(tiny_run)
        if command == "train" and words and words[0] == "my.py":
            words[0] = str(tmp_path / "my.py")
        kind, _ = cli.COMMANDS[command]
        assert isinstance(cli._arguments(command, kind, words)[0], kind)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    assert text.count("\n```") % 2 == 0, "a block of code has no end, and swallows what follows"
    titles = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in titles, target
        elif not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_address_is_that_of_the_project() -> None:
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    assert f"git clone {address} && cd {address.rpartition('/')[2]}\n" in README
    for file in (ROOT / "notebooks").glob("*.py"):
        addresses = re.findall(r"github(?:\.com)?/([\w.-]+/[\w.-]+)", file.read_text())
        assert addresses
        assert {each.removesuffix(".git") for each in addresses} == {address.removeprefix("https://github.com/")}, file


def test_the_citation_is_of_this_version() -> None:
    words = dict(re.findall(r"^([a-z-]+): (.+)$", (ROOT / ".github/CITATION.cff").read_text(), re.MULTILINE))
    assert words["cff-version"] == "1.2.0"
    assert words["version"] == jaxgan.__version__
    assert f"## {jaxgan.__version__}" in (ROOT / ".github/CHANGELOG.md").read_text()
