"""R1 and R2 from finite differences beside the exact ones: modes, quality and time, in runs of equal length.

    python tests/benchmarks/approximate_penalties.py [ring] [grid] [digits] [--steps 5000] [--seeds 10] [--folder DIR]

Each recipe is trained twice for so many steps, with `r1_r2` and with `r1_r2_approximate` and nothing else changed, mixtures
with so many seeds in one program, digits with one seed; `jaxgan evaluate` measures the averaged generators. Milliseconds are
the mean of a step over the second half of a run. Prints Markdown tables.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PENALTIES = ("r1_r2", "r1_r2_approximate")


def jaxgan(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "jaxgan", *words], check=True, stdout=subprocess.PIPE, text=True, timeout=7_200
    )
    return done.stdout


def milliseconds(run: Path) -> float:
    """The mean time of a step over the second half of a run."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, last = rows[len(rows) // 2], rows[-1]
    return 1e3 * float(last["seconds"] - first["seconds"]) / float(last["step"] - first["step"])


def told(value: dict[str, object]) -> str:
    if value["mean"] is None:
        return "not finite"
    error = value["standard_error"]
    return f"{value['mean']:.4g}" + (f" ± {error:.2g}" if error else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["ring", "grid", "digits"])
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for name in arguments.names:
            seeds = [] if name == "digits" else ["--seeds", str(arguments.seeds)]
            shown: tuple[str, ...] = ()
            for penalty in PENALTIES:
                run = folder / f"{name}-{penalty}"
                options = ["--steps", str(arguments.steps), "--penalty.name", penalty, *seeds]
                jaxgan("train", name, "--run", str(run), *options)
                jaxgan("evaluate", str(run))
                values = json.loads((run / "evaluation.json").read_text())["values"]
                if not shown:
                    shown = tuple(values)
                    print(f"\n| {name}, {arguments.steps:,} steps | {' | '.join(shown)} | ms a step |")
                    print("|---" * (len(shown) + 2) + "|")
                figures = " | ".join(told(values[figure]) for figure in shown)
                print(f"| {penalty} | {figures} | {milliseconds(run):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
