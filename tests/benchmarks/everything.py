"""All benchmarks of the training step, in one command that writes RESULTS.md.

    python tests/benchmarks/everything.py [--device cpu|cuda] [--limit 520] [--out FOLDER]

On CPU about half an hour on two idle cores. On CUDA all of it is cut to `--limit` seconds, 520 by default, and what is not
reached is named. Needs PyTorch beside jaxgan, but neither TensorFlow Datasets nor grain nor tyro. `--out` receives a copy of
RESULTS.md and everything that was printed. Several GPUs are compared apart, by scaling.py.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from workloads import names

HERE = Path(__file__).parent


def commands(device: str) -> list[list[str]]:
    """What is run, in order of worth."""
    on = ["--device", device, "--record"]
    if device == "cpu":
        return [
            ["step_time.py", *on],
            ["growth.py", *on],
            ["scaling.py", *on],
            ["sharding.py", "--forms", "cpu", "--record"],
            ["sharding.py", "--forms", "accelerators", "--record"],
            ["host_overhead.py"],
            ["step_memory.py"],
        ]
    large = ["R3GAN-32 E"]  # two sides of which are too much for one GPU
    others = [name for name in names(device) if name not in large]
    quick = ["--rounds", "7", "--seconds", "0.3"]
    return [
        ["step_time.py", "--at-once", "--workloads", *others, "--peers", "compile", "tuned", "eager", *quick, *on],
        ["step_time.py", "--alone", *large, "--workloads", *large, "--peers", "compile", "tuned", *quick, *on],
        ["growth.py", *quick, *on],
        ["host_overhead.py"],
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--limit", type=float, help="seconds in all; on CUDA 520")
    parser.add_argument("--out", type=Path, help="folder for a copy of RESULTS.md and of what was printed")
    options = parser.parse_args()
    limit = options.limit or (520.0 if options.device == "cuda" else float("inf"))
    began, failed, log = time.monotonic(), list[str](), list[str]()
    for words in commands(options.device):
        left = limit - (time.monotonic() - began)
        if words[0] in ("step_time.py", "growth.py") and left < float("inf"):
            words = [*words, "--limit", f"{max(0.0, left - 40):.0f}"]
        told = shlex.join(["python", f"tests/benchmarks/{words[0]}", *words[1:]])
        print(f"$ {told}", flush=True)
        try:
            done = subprocess.run(
                [sys.executable, str(HERE / words[0]), *words[1:]],
                env=os.environ | {"JAX_PLATFORMS": options.device},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=None if left == float("inf") else max(1.0, left),
            )
        except subprocess.TimeoutExpired:
            failed.append(f"{told}: no time was left")
            continue
        print(done.stdout, flush=True)
        log.append(f"$ {told}\n{done.stdout}")
        if done.returncode:
            failed.append(f"{told}: status {done.returncode}")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / "RESULTS.md", options.out)
            (options.out / "log.txt").write_text("\n".join(log))
    print(*failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
