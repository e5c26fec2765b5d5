"""How long a command takes to start: help, and training to its first step, with a fresh compile cache and a filled one.

    python tests/benchmarks/start_up.py [--recipe digits] [--times 2] [--imports]

Each start is a process of its own with a run directory of its own. The mark is the first row of metrics, asked for at step 1:
`seconds` in it is from the first step's dispatch on, so everything before is start-up. What is printed is wall seconds from
the start of the process to that row's appearance in metrics.jsonl, looked for every 5 ms, and the CPU seconds of the whole
process, which makes one step only. `--imports` also lists the slowest imports.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELP = (["--help"], ["train", "--help"], ["sample", "--help"], ["evaluate", "--help"], ["plan", "--help"], ["bench", "--help"])


def help_seconds(words: list[str], times: int) -> float:
    """The best of several."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "jaxgan", *words], check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return min(took)


def start(recipe: str, run: Path, cache: Path) -> dict[str, float]:
    """One start: wall seconds to the first row of metrics, and to the end; CPU seconds."""
    words = ["train", recipe, "--run", str(run), "--steps", "1", "--log-interval", "1"]
    env = os.environ | {"JAXGAN_CACHE": str(cache)}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxgan", *words], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    metrics, first = run / "metrics.jsonl", None
    while process.poll() is None:
        if first is None and metrics.exists() and metrics.stat().st_size:
            first = time.perf_counter() - began
        time.sleep(0.005)
    ended = time.perf_counter() - began
    if process.returncode or first is None:
        raise RuntimeError(process.stderr.read().decode()[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    step = json.loads(metrics.read_text().splitlines()[0])["seconds"]
    return {"first_row": first, "of_it_the_step": step, "end": ended, "cpu": cpu}


def slowest_imports(count: int = 12) -> list[str]:
    """Modules by the seconds of their own, of all that training imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import jaxgan.training.train"], capture_output=True, text=True, check=True
    )
    rows = [
        line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if line.startswith("import time:")
    ]
    totals: dict[str, int] = {}
    for own, _, name in rows[1:]:
        top = name.strip().partition(".")[0]
        totals[top] = totals.get(top, 0) + int(own)
    return [f"{seconds / 1e6:.2f} s {name}" for name, seconds in sorted(totals.items(), key=lambda item: -item[1])[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="digits", help="one whose data are there")
    parser.add_argument("--times", type=int, default=2, help="starts with the filled cache")
    parser.add_argument("--imports", action="store_true")
    options = parser.parse_args()
    for words in HELP:
        print(f"jaxgan {' '.join(words)}: {help_seconds(words, 5):.3f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1 + options.times):
            found = start(options.recipe, Path(folder, f"run{number}"), Path(folder, "cache"))
            told = ", ".join(f"{name.replace('_', ' ')} {seconds:.2f} s" for name, seconds in found.items())
            print(f"{'filled' if number else 'fresh'} cache: {told}", flush=True)
    if options.imports:
        print(*slowest_imports(), sep="\n")


if __name__ == "__main__":
    main()
