"""Trains for half an hour under random kills with somebody reading beside: is anything lost, does anything grow?

    python tests/soak.py [--minutes 30] [--seed 0] [--interval 500] [--folder DIR]

Two runs of one recipe, small enough to save every few seconds. One lives from the beginning to the end: its memory,
descriptors and threads are counted every second. The other is killed by SIGKILL at random moments and started again. This
process reads both runs' generators all the while. At the end the first is stopped by SIGTERM, the second trained to the same
step, and every array of both is compared. Exits with 1 when a kill cost more than one interval of checkpoints, a reading
failed, arrays differ, or the first run's last third takes 5 % more memory, more descriptors or more threads than its second.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kill_and_resume import differing_leaves

from jaxgan.training import checkpoint, runs

OPTIONS = (
    "--generator mlp --generator.width 16 --generator.depth 2 --discriminator mlp --discriminator.width 16 "
    "--discriminator.depth 2 --batch-size 16 --log-interval 50 --sample-interval 1000000 --keep-checkpoints 2"
)


def start(run: Path, interval: int, steps: int = 100_000_000) -> subprocess.Popen[bytes]:
    words = [*OPTIONS.split(), "--checkpoint-interval", str(interval), "--steps", str(steps), "--run", str(run)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "jaxgan", "train", "digits", *words], **silent)


def reached(run: Path) -> tuple[int, int]:
    """Returns the step of the last row and of the last checkpoint."""
    lines = (run / "metrics.jsonl").read_bytes().splitlines() if (run / "metrics.jsonl").exists() else []
    step = 0
    for line in reversed(lines):
        try:
            step = json.loads(line)["step"]
            break
        except ValueError:  # the one that a kill cut short
            continue
    return step, max(checkpoint.saved_steps(run / "checkpoints"), default=0)


def usage(process: int) -> tuple[float, int, int]:
    """Returns a process's resident memory in MiB, its descriptors and its threads."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, *(len(os.listdir(f"/proc/{process}/{name}")) for name in ("fd", "task"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--interval", type=int, default=500, help="steps from one checkpoint to the next")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder, rng = arguments.folder or Path(tempfile.mkdtemp()), random.Random(arguments.seed)
    lives, killed = folder / "lives", folder / "killed"
    one, other = start(lives, arguments.interval), start(killed, arguments.interval)
    began, used, losses, readings, failures = time.monotonic(), [], [], 0, []
    next_kill = began + rng.uniform(20, 60)
    try:
        while time.monotonic() - began < 60 * arguments.minutes:
            time.sleep(1)
            used.append((time.monotonic() - began, *usage(one.pid)))
            for run in (lives, killed):
                if checkpoint.saved_steps(run / "checkpoints"):
                    try:
                        runs.load_generator(run)
                    except Exception as error:
                        failures.append(f"{run.name}: {type(error).__name__}: {error}")
                    readings += 1
            if time.monotonic() > next_kill and reached(killed)[1]:
                other.kill()
                other.wait()
                step, saved = reached(killed)
                losses.append(step - saved)
                other, next_kill = start(killed, arguments.interval), time.monotonic() + rng.uniform(10, 60)
    finally:
        one.send_signal(signal.SIGTERM)
        status = one.wait(60)
        other.kill()
        other.wait()
    last = reached(lives)[1]
    print(
        f"{last} steps; SIGTERM ended the run that lived with {status}; finishing the other, at {reached(killed)[1]}",
        flush=True,
    )
    start(killed, arguments.interval, last).wait()
    differing = differing_leaves(lives, killed)
    thirds = [np.array([row[1:] for row in part]).mean(axis=0) for part in np.array_split(np.array(used), 3)]
    for name, part in zip(("first", "second", "last"), thirds, strict=True):
        print(f"{name} third: {part[0]:.1f} MiB, {part[1]:.1f} descriptors, {part[2]:.1f} threads")
    grown = thirds[2] / thirds[1]
    print(f"{len(losses)} kills cost {sorted(losses)} steps of an interval of {arguments.interval}")
    print(f"{readings} readings, {len(failures)} failed: {failures[:3]}")
    print(f"{len(differing)} arrays differ at step {last}: {differing[:3]}")
    lost = failures or differing or max(losses, default=0) > arguments.interval
    return int(bool(lost or grown[0] > 1.05 or (grown[1:] > 1.02).any()))


if __name__ == "__main__":
    sys.exit(main())
