"""Every command of the README runs, in the order in which it stands there, shortened."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgan import cli

README = (Path(__file__).parent.parent / "README.md").read_text()
_, OWN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# What makes a command of the README short: small networks, and two steps.
SHORT = "--log-interval 1 --sample-interval 2 --checkpoint-interval 2"
SMALL = {
    "": "--generator.width 8 --discriminator.width 8",
    "digits": "--discriminator.width 4",
    "my.py": "--discriminator.width 8",
}
QUICK = {"project": "--steps 2 --restarts 1 --features none", "directions": "--count 2"}
# One serves until it is stopped, one fetches what a browser needs: tests/test_explore.py, tests/test_page.py.
APART = ("explore ", "export runs/digits --out site --form page")


def shortened(line: str) -> list[str]:
    """The words of a command of the README that trains, so that it takes seconds."""
    name = (re.match(r"train ([\w./]+)", line) or ["", ""])[1]
    if name.startswith("runs/"):  # goes on from its second step
        return re.sub(r"--steps[ =]\S+", "--steps 3", line).split()
    line = re.sub(r"--steps[ =]\S+", "", line)
    return f"{line} --steps 2 {SMALL.get('' if '--init-from' in line else name, SMALL[''])} {SHORT}".split()


def status(words: list[str]) -> object:
    """The exit status of a command."""
    try:
        cli.main(words)
    except SystemExit as end:
        return end.code or 0
    return 0


def test_every_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(OWN)
    noise = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(33):
            Image.fromarray(noise.integers(0, 256, (40, 36, 3), np.uint8)).save(tmp_path / "photos" / kind / f"{i}.png")
    shown = re.findall(r"^(?:.*&& )?jaxgan (.*)$", README, re.MULTILINE)
    assert len(shown) >= 15
    for line in shown:
        line = line.partition("#")[0].strip()
        if not line.startswith("train"):
            line = line.replace("runs/mnist", "runs/digits")
        if line.startswith(APART):
            continue
        words = shortened(line) if line.startswith("train") else f"{line} {QUICK.get(line.split()[0], '')}".split()
        assert status(words) == 0, line
    made = {path.name for path in (tmp_path / "runs").iterdir()}
    assert made >= {"digits", "hinge", "photos", "few", "my", "dc", "careful", "sweep"}
    assert {"digits.png", "threes.npz", "way.gif", "digits.jaxgan", "sheet.png", "morph.png", "hub"} <= {
        path.name for path in tmp_path.iterdir()
    }
