"""What the tests of faults share: a tiny net on the command line, and the table of promises in README."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import promises
import pytest

TINY_WORDS = (
    "--generator mlp --generator.width 8 --generator.depth 1 --generator.latent-dim 8 --discriminator mlp "
    "--discriminator.width 8 --discriminator.depth 1 --penalty.name none --penalty.gamma 0 --batch-size 8 "
    "--sample-interval 100000 --data.no-conditional"
)
PATIENCE = 120.0  # seconds, beside other tests


class Child(subprocess.Popen[str]):
    """A training in a process of its own, on so many devices, with what it says."""

    def __init__(self, run: Path, words: str, *, devices: int = 1) -> None:
        """Starts it."""
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"  # of two values the last counts
        command = [sys.executable, "-m", "jaxgan", "train", "digits", "--run", str(run), *TINY_WORDS.split(), *words.split()]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        super().__init__(command, **pipes, env=os.environ | {"XLA_FLAGS": flags})

    def until(self, happened: Callable[[], object], pause: float = 0.01) -> None:
        """Waits until something has happened; fails where the child ends before, or nothing comes."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self.poll() is None, self.communicate()
            assert time.monotonic() < deadline, "nothing happened"
            time.sleep(pause)

    def ends(self) -> tuple[int, str]:
        """Returns the status and stderr."""
        said = self.communicate(timeout=PATIENCE)[1]
        return self.returncode, said


# ----------------------------------------------------------------- the table in README: `pytest tests/faults --write-promises`

_tried: dict[str, int] = {}
_survived: dict[str, int] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-promises", action="store_true", help="write the table of faults into jaxgan/training/README.md")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a test of faults that stands at no promise, and notes how many faults each one tries."""
    for item in items:
        if not isinstance(item, pytest.Function) or item.path.parent != Path(__file__).parent:
            continue
        words = promises.promise_of(item.path.stem, item.originalname)
        if words is None:
            raise pytest.UsageError(f"{item.nodeid}: it stands at no promise in tests/promises.py")
        marker = item.get_closest_marker("faults")
        item.user_properties += [("promise", words), ("faults", marker.args[0] if marker else 1)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    about = dict(report.user_properties)
    if report.when == "call" and "promise" in about:
        for counted in (_tried, *([_survived] if report.passed else [])):
            counted[about["promise"]] = counted.get(about["promise"], 0) + about["faults"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--write-promises", default=False):
        made = promises.table(_tried, _survived)
        promises.README.write_text(promises.put(promises.README.read_text(), made))
        terminalreporter.write(made)
