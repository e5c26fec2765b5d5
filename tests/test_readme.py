"""The README's Python example runs as printed, and its tables and commands say what the program does."""

import re
from pathlib import Path

import pytest

from jaxgan import cli, recipes
from jaxgan.training.experiment import build, open_data

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) <= 26
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["samples"].shape == (1000, 2)
    assert "'d_loss':" in capsys.readouterr().out


def test_the_file_of_own_parts_is_a_recipe(tmp_path: Path) -> None:
    _, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my.py").write_text(code)
    command, words = cli._command(["plan", str(tmp_path / "my.py"), "--generator.width", "8"])
    arguments, _ = cli._arguments(command, cli.COMMANDS[command][0], words)
    params = build(arguments.recipe, dataset=open_data(arguments.recipe)).abstract.g.params
    assert {each["kernel"].shape for each in params.values()} == {(4, 8), (8, 2)}


def test_the_recipes_table_names_every_recipe() -> None:
    section = README.partition("## Recipes")[2].partition("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(recipes.NAMES)


def test_every_command_it_shows_parses(tiny_run: Path) -> None:
    commands = "|".join(name.split()[0] for name in cli.COMMANDS)
    shown = re.findall(rf"^(?:.*&& )?jaxgan ((?:{commands})\b.*)$", README, re.MULTILINE)
    assert len(shown) >= 6
    for line in shown:
        command, words = cli._command(line.partition("#")[0].split())
        if command == "train" and words and words[0].startswith("runs/"):
            words[0] = str(tiny_run)
        kind, _ = cli.COMMANDS[command]
        assert isinstance(cli._arguments(command, kind, words)[0], kind)


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\((.*?)\)", README)
    assert pictures
    for picture in pictures:
        assert (Path(__file__).parent.parent / picture).is_file()
