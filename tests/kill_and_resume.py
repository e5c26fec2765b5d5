"""Kills a training run with SIGKILL at random moments, resumes it each time, and compares it with one left alone.

    python tests/kill_and_resume.py [--kills 3] [--seed 0] [-- OPTIONS OF `jaxgan train digits` ...]

Every array of the final states must be equal bit for bit: parameters, statistics, optimizer states and averaged generator.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from jaxgan.training import runs


def command(run: Path, options: list[str]) -> list[str]:
    return [sys.executable, "-m", "jaxgan", "train", "digits", "--run", str(run), *options]


def train_alone(run: Path, options: list[str]) -> float:
    """Seconds from the first line of metrics to the end: the span within which a kill hits training."""
    process = subprocess.Popen(command(run, options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for_metrics(run, process)
    began = time.perf_counter()
    _, told = process.communicate()
    if process.returncode:
        raise RuntimeError(told)
    return time.perf_counter() - began


def wait_for_metrics(run: Path, process: subprocess.Popen[str], rows: int = 1) -> None:
    file = run / "metrics.jsonl"
    while process.poll() is None and not (file.exists() and len(file.read_text().splitlines()) >= rows):
        time.sleep(0.02)


def train_killed(run: Path, options: list[str], waits: list[float]) -> list[int]:
    """Trains with a SIGKILL after each wait from the next new row of metrics on; returns the steps reached."""
    steps = []
    for wait in waits:
        rows = len((run / "metrics.jsonl").read_text().splitlines()) if (run / "metrics.jsonl").exists() else 0
        process = subprocess.Popen(command(run, options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        wait_for_metrics(run, process, rows + 1 if not steps else 1)
        time.sleep(wait)
        process.kill()
        process.wait()
        steps.append(runs.history(runs.read(run))[-1]["step"])
    subprocess.run(command(run, options), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return steps


def differing_leaves(one: Path, other: Path) -> list[str]:
    """Paths of the arrays of two runs' final states that are not equal bit for bit."""
    (_, a), (_, b) = runs.load(one), runs.load(other)
    leaves = zip(jax.tree.leaves_with_path(a), jax.tree.leaves(b), strict=True)
    return [jax.tree_util.keystr(path) for (path, x), y in leaves if np.asarray(x).tobytes() != np.asarray(y).tobytes()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder, "alone"), Path(folder, "killed")
        seconds = train_alone(alone, arguments.options)
        waits = [moments.uniform(0, seconds / arguments.kills) for _ in range(arguments.kills)]
        steps = train_killed(killed, arguments.options, waits)
        different = differing_leaves(alone, killed)
        count = len(jax.tree.leaves(runs.load(alone)[1]))
    print(f"killed after steps {steps}; {count - len(different)} of {count} arrays equal bit for bit")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
