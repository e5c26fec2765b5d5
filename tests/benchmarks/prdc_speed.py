"""How long precision, recall, density and coverage take, beside the `prdc` package of the metric's authors.

    python tests/benchmarks/prdc_speed.py [--samples 2000 10000] [--features 2048] [--rounds 5]

Needs the package `prdc`. Each side is a process of its own, which makes the same features, and sleeps while the other side
works; they take turns, so that whatever slows the machine slows both. Prints a line for each round and rows of a Markdown
table: median of the paired ratios, the peer's time over ours, by wall clock and by CPU time, in brackets their range; CPU
over wall time of each side; the most memory that each process ever held; and by how many samples the counts differ. On a
CPU a ratio of wall times counts only when both sides were given their cores.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

NEAREST = 5
SIDES = ("jaxgan", "prdc")


def features(seed: int, n: int, size: int, scale: float) -> np.ndarray:
    """Not negative and of about 64 dimensions with some noise, as a network's last layer has them."""
    mixing = np.random.default_rng(0).standard_normal((64, size), dtype=np.float32) / 8.0
    draw = np.random.default_rng(seed)
    latent = scale * draw.standard_normal((n, 64), dtype=np.float32)
    return np.maximum(latent @ mixing + 0.3 * draw.standard_normal((n, size), dtype=np.float32), 0.0)


def peak() -> float:
    """MiB this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def serve(side: str, n: int, size: int) -> None:
    """Answers each line of its input with one measurement."""
    if side == "jaxgan":
        from jaxgan.evaluation.metrics.prdc import prdc

        def run(real: np.ndarray, fake: np.ndarray) -> list[float]:
            return list(prdc(real, fake, nearest=NEAREST))
    else:
        from prdc import compute_prdc

        def run(real: np.ndarray, fake: np.ndarray) -> list[float]:
            with contextlib.redirect_stdout(io.StringIO()):
                found = compute_prdc(real_features=real, fake_features=fake, nearest_k=NEAREST)
            return [float(found[name]) for name in ("precision", "recall", "density", "coverage")]

    real, fake = features(1, n, size, 1.0), features(2, n, size, 1.05)
    run(real[:200], fake[:200])  # compiles, starts threads
    before = peak()
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        found = run(real, fake)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"wall": wall, "cpu": cpu, "before": before, "peak": peak(), "found": found}), flush=True)


def turn(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def compare(n: int, size: int, rounds: int) -> str:
    command = [sys.executable, __file__, "--samples", str(n), "--features", str(size), "--side"]
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(subprocess.Popen([*command, s], stdin=pipe, stdout=pipe, text=True)) for s in SIDES]
        pairs = []
        for index in range(rounds):
            ours, peer = pairs_of = [turn(side) for side in sides]
            pairs.append(pairs_of)
            told = (
                f"{name} {x['wall']:.2f} s, CPU/wall {x['cpu'] / x['wall']:.2f}"
                for name, x in zip(SIDES, pairs_of, strict=True)
            )
            print(f"# {n} round {index + 1}:", "; ".join(told), f"; ratio {peer['wall'] / ours['wall']:.2f}", flush=True)
    cells = [f"{n} x {n} x {size}"]
    for what in ("wall", "cpu"):
        ratio = np.array([peer[what] / ours[what] for ours, peer in pairs])
        cells.append(f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})")
    for side in (0, 1):
        wall = np.median([pair[side]["wall"] for pair in pairs])
        busy = np.median([pair[side]["cpu"] / pair[side]["wall"] for pair in pairs])
        cells.append(f"{wall:.2f} s, {busy:.2f}, {pairs[-1][side]['peak']:.0f} MiB ({pairs[-1][side]['before']:.0f} before)")
    ours, peer = (np.array(each["found"]) * [n, n, n * NEAREST, n] for each in pairs[-1])
    return f"| {' | '.join([*cells, str(np.abs(ours - peer).round().astype(int).tolist())])} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=SIDES)
    arguments = parser.parse_args()
    if arguments.side is not None:
        serve(arguments.side, arguments.samples[0], arguments.features)
        return
    heads = ["size", "ratio", "ratio of CPU time", *(f"{s}: wall, CPU/wall, peak memory" for s in SIDES), "counts that differ"]
    rows = [compare(n, arguments.features, arguments.rounds) for n in arguments.samples]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
