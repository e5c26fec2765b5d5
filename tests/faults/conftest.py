"""What the tests of faults share: a tiny net on the command line, and one cache of compiled programs for all children."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture(scope="session", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps every program of the children, so that only the first compiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("xla")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        yield
