"""Is the verdict right? Trains good runs and runs made to fail, and compares what is said of them.

    python tests/verdict_quality.py [--folder DIR] [CASE ...]

Each case is one `jaxgan train`, with several seeds side by side. A run is right when its last verdict is one of those
expected of it; a good run that is ever called collapsed, or beaten by D, is wrong. Exits with 1 when fewer than nine in ten
are right or a good run was called collapsed. Runs that are in the folder already are judged again, not trained again.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Before the first of several runs in one process: the seeds of each are divided among two cores.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax
import jax.numpy as jnp

from jaxgan import cli
from jaxgan.evaluation import verdict
from jaxgan.recipes.table import LATENTS, LOSSES, find

GOOD = ("converged", "still improving")
NO_PENALTY = ["--penalty.name", "none", "--penalty.gamma", "0"]
STRONG_D = ["--d-optimizer.learning-rate", "2e-3", "--disc-steps", "2", "--discriminator.width", "384"]
MIXTURE = ["--steps", "10000", "--log-interval", "250", "--sample-interval", "500", "--decay-images", "2560000"]
DIGITS = ["--steps", "3000", "--log-interval", "100", "--sample-interval", "200", "--decay-images", "384000"]


class Case(NamedTuple):
    expected: tuple[str, ...]
    words: list[str]
    latent: Callable[..., jax.Array] | None = None  # in place of the normal one


def zeros(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.zeros(shape)


CASES = {
    "ring": Case(GOOD, ["ring", "--seeds", "3", *MIXTURE]),
    "grid": Case(GOOD, ["grid", "--seeds", "3", *MIXTURE]),
    "digits": Case(GOOD, ["digits", "--seeds", "2", *DIGITS]),
    "digits, R1, non-saturating": Case(
        GOOD, ["digits", "--seeds", "2", "--loss", "non_saturating", "--penalty.name", "r1", *DIGITS]
    ),
    "no penalty, strong D": Case(("discriminator wins",), ["digits", "--seeds", "2", *NO_PENALTY, *STRONG_D, *DIGITS]),
    "G that never moves": Case(
        ("discriminator wins",), ["ring", "--seeds", "2", "--g-optimizer.learning-rate", "0", *NO_PENALTY, *MIXTURE]
    ),
    "learning rates x 100": Case(
        ("diverged",),
        ["digits", "--seeds", "2", "--g-optimizer.learning-rate", "0.1", "--d-optimizer.learning-rate", "0.1",
         "--g-optimizer.final-learning-rate", "None", "--d-optimizer.final-learning-rate", "None", *DIGITS],
    ),
    "constant G": Case(
        ("mode collapse",),
        ["digits", "--seeds", "2", "--data.no-conditional", *DIGITS],
        zeros,
    ),
    "grid, plain GAN": Case(("mode collapse",), ["grid", "--seeds", "2", "--loss", "non_saturating", *NO_PENALTY, *MIXTURE]),
}  # fmt: skip


def train(case: Case, folder: Path) -> list[dict]:
    """The rows of metrics of one case."""
    normal = LATENTS["normal"]
    LATENTS["normal"] = f"{__name__}:{case.latent.__name__}" if case.latent else normal
    try:
        cli.main(["train", *case.words, "--run", str(folder), "--no-compile-cache"])
    except SystemExit as stop:
        if stop.code not in (0, None, 1):  # 1: diverged
            raise
    finally:
        LATENTS["normal"] = normal
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"by default all: {'; '.join(CASES)}")
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    right = total = slandered = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.cases or CASES:
            case, began = CASES[name], time.perf_counter()
            run = folder / name.replace(" ", "-").replace(",", "")
            rows = train(case, run)
            seconds = time.perf_counter() - began
            loss = find(LOSSES, "loss", json.loads((run / "recipe.json").read_text())["recipe"]["loss"])
            limits = {"equilibrium": loss.equilibrium, "largest": loss.largest}
            print(f"{name}  ({seconds:.0f} s)  expected: {' or '.join(case.expected)}", flush=True)
            for i in range(len(rows[-1]["members"]["d_loss"])):
                past = [verdict.of_member(row, i) for row in rows]
                said = [verdict.judge(past[: j + 1], **limits) for j in range(len(past))]
                words = [found.word for found in said if found.word]
                last = said[-1]
                fine = last.word in case.expected
                bad = case.expected == GOOD and bool(set(words) - set(GOOD))
                right, total, slandered = right + (fine and not bad), total + 1, slandered + (bad and "mode collapse" in words)
                print(f"  {'right' if fine and not bad else 'WRONG'}  {last.word}: {'; '.join(last.evidence)}")  # fmt: skip
                print(f"         over time: {', '.join(dict.fromkeys(words))}")
    print(f"{right} of {total} right, {slandered} good runs called collapsed")
    return 0 if right >= 0.9 * total and not slandered else 1


if __name__ == "__main__":
    sys.exit(main())
