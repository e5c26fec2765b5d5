"""The README's Python example runs as printed, and its tables and commands say what the program does."""

import re
from pathlib import Path

import pytest

from jaxgan import cli, recipes

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) <= 26
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["samples"].shape == (1000, 2)
    assert "'d_loss':" in capsys.readouterr().out


def test_the_recipes_table_names_every_recipe() -> None:
    section = README.partition("## Recipes")[2].partition("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(recipes.NAMES)


def test_every_command_it_shows_parses() -> None:
    commands = "|".join(name.split()[0] for name in cli.COMMANDS)
    shown = re.findall(rf"^(?:.*&& )?jaxgan ((?:{commands})\b.*)$", README, re.MULTILINE)
    assert len(shown) >= 6
    for line in shown:
        command, words = cli._command(line.partition("#")[0].split())
        kind, _ = cli.COMMANDS[command]
        assert isinstance(cli._arguments(command, kind, words)[0], kind)


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\((.*?)\)", README)
    assert pictures
    for picture in pictures:
        assert (Path(__file__).parent.parent / picture).is_file()
