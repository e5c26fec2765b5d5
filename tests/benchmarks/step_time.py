"""How long a training step takes, and a sample: jaxgan beside PyTorch and beside naive flax, turn by turn on one machine.

    python tests/benchmarks/step_time.py [--workloads DCGAN-32 ..] [--peers tuned ..] [--device cpu|cuda] [--record]

The workloads are in workloads.py, the peers in side_torch.py and side_naive.py. PyTorch's weights and jaxgan's images and z are
shared first: both take one step in float64, and losses and gradients must agree. Then jaxgan and one peer at a time take turns,
each a process of its own: each pair of turns is a round with a ratio, the peer's time over jaxgan's. On CPU a round counts only
when both sides had their cores: CPU over wall seconds at least 0.8 of the threads, so 1.6 of 2; where none counts, the row
shows all of them. GFLOP/s are of products and convolutions in their direct form, whatever form computes them, and their share
is of what the faster side makes of a large matrix product in the same run.

On CPU jaxgan keeps its memory on large pages, as its command line does (`host_memory.keep`); `small_pages` is jaxgan without,
and `large_pages` the tuned peer with the C library's own large pages, `GLIBC_TUNABLES=glibc.malloc.hugetlb=1`.

Prints Markdown tables; `--record` also puts them into RESULTS.md. Needs PyTorch beside jaxgan.
"""

import argparse
import math
import shlex
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sides import Measured, Side, machine, measure, record, table
from workloads import about, names, recipe_of, settings_of

SAMPLES = ("sample 1", "sample 64", "sample 512")
PEERS = ("tuned", "eager", "compile", "graph", "large_pages", "naive", "small_pages")
SMALL, FAR = 8, 1e-5  # batch of the step that is compared; its relative error may be no more
STEPS = ["workload", "task", "peer", "jaxgan ms", "peer ms", "ratio (quartiles)", "ratio of CPU time"]
STEPS += ["CPU/wall: jaxgan, peer", "rounds that count"]
COSTS = ["workload", "by", "GFLOP/s", "of matrix products'", "first step, s", "peak memory, MiB"]


def same_step(workload: str, device: str) -> float:
    """How far apart losses and gradients of the same step are, in float64: relative, the greatest of all.

    Raises:
        RuntimeError: when they are too far apart for rounding.
    """
    settings = settings_of(workload, device, "float64", batch=SMALL)
    ours, peer = Side("jaxgan", settings), Side("eager", settings)
    with tempfile.TemporaryDirectory() as folder:
        inputs, path = str(Path(folder, "inputs.npz")), str(Path(folder, "outcome.npz"))
        ours.tell(order="inputs", path=inputs)
        peer.tell(order="reference", inputs=inputs, path=path)
        errors = ours.tell(order="compare", path=path)
    ours.end()
    peer.end()
    if not all(error <= FAR for error in errors.values()):
        raise RuntimeError(f"{workload}: not the same step, {errors}")
    return max(errors.values())


def step_row(workload: str, peer: Side, found: Measured) -> list[str]:
    low, middle, high = found.ratio
    return [
        workload,
        found.task,
        str(peer.about["choices"]),
        f"{1e3 * found.ours:.2f}",
        f"{1e3 * found.theirs:.2f}",
        f"{middle:.2f} ({low:.2f} to {high:.2f})",
        f"{found.cpu_ratio:.2f}",
        f"{found.ours_busy:.2f}, {found.theirs_busy:.2f}",
        f"{found.counted} of {found.rounds}",
    ]


class Found(NamedTuple):
    """Of one workload."""

    steps: list[list[str]]  # rows of steps and samples
    costs: list[list[str]]
    where: str  # the machine in words
    apart: float  # losses and gradients, from the peer's of the same step
    wrong: list[str]


def of_workload(workload: str, options: argparse.Namespace, deadline: float) -> Found:
    """Measures jaxgan beside each peer in turn."""
    half = options.device != "cpu" and workload in options.half
    settings = settings_of(workload, options.device, "bfloat16" if half else options.precision)
    recipe, title = recipe_of(settings), f"{workload}, bfloat16" if half else workload
    multiple_of = math.lcm(recipe.penalty.interval, recipe.steps_per_dispatch)  # steps of a turn
    apart = same_step(workload, options.device)
    ours = Side("jaxgan", settings)
    first, peak = ours.turn("step", 1)["first"], ours.tell(order="gemm")["peak"]
    rows, costs, peers, wrong = list[list[str]](), list[tuple[str, float, float, int]](), list[Side](), list[str]()
    taken = list[float]()
    for variant in options.peers:
        if variant == "naive" and (half or not workload.startswith("DCGAN")):
            continue
        try:
            if time.monotonic() > deadline:
                raise RuntimeError("no time was left")
            peer = Side(variant, settings)
            if peer.about["parameters"] != ours.about["parameters"]:
                raise RuntimeError(f"{peer.about['parameters']} parameters, but jaxgan has {ours.about['parameters']}")
            peak = peak if variant == "naive" else max(peak, peer.tell(order="gemm")["peak"])
            asked = {"step": (options.seconds, multiple_of)}
            asked |= {task: (options.seconds / 2, 1) for task in SAMPLES if variant in options.sampled}
            for task, (seconds, multiple) in asked.items():
                found = measure(ours, peer, task, rounds=options.rounds, seconds=seconds, multiple=multiple)
                rows.append(step_row(title, peer, found))
                print(*rows[-1], sep=" | ", flush=True)
                if task == "step":
                    taken.append(found.ours)
                    memory = peer.tell(order="memory")["bytes"]
                    costs.append((peer.about["choices"], found.theirs, found.firsts[1], memory))
            peers.append(peer)
            peer.end()
        except RuntimeError as error:
            wrong.append(f"{title}, {variant}: {error}")
            print(wrong[-1], file=sys.stderr, flush=True)
    if recompiled := ours.tell(order="recompiled")["count"]:
        wrong.append(f"{title}: jaxgan compiled its step {recompiled} times more")
    if taken:
        costs.insert(0, ("jaxgan", median(taken), first, ours.tell(order="memory")["bytes"]))
    flops, where = ours.about["step_flops"], machine(ours, peers)
    ours.end()
    told = [
        [title, by, f"{flops / took / 1e9:,.0f}", f"{flops / took / peak:.0%}", f"{first:.1f}", f"{memory / 2**20:,.0f}"]
        for by, took, first, memory in costs
    ]
    return Found(rows, told, f"{where}. Matrix products: {peak / 1e9:,.0f} GFLOP/s", apart, wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", help="all of the device's")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32"), default="float32", help="of products, on CUDA")
    parser.add_argument("--half", nargs="*", default=["R3GAN-32 E", "StyleGAN2-64"], help="in bfloat16, on CUDA")
    parser.add_argument("--peers", nargs="+", choices=PEERS)
    parser.add_argument("--sampled", nargs="*", default=["tuned"], help="peers that draw samples too")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn, about")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no other peer is begun")
    parser.add_argument("--record", action="store_true", help="put the tables into RESULTS.md")
    options = parser.parse_args()
    known = names(options.device)
    options.workloads, options.peers = options.workloads or known, options.peers or ["tuned", "eager", "compile", "naive"]
    if unknown := set(options.workloads) - set(known):
        parser.error(f"--workloads: {', '.join(sorted(unknown))}, but there are {', '.join(known)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds above 0")
    deadline, failed = time.monotonic() + options.limit, list[str]()
    for workload in options.workloads:
        if time.monotonic() > deadline:
            failed.append(f"{workload}: no time was left")
            continue
        found = of_workload(workload, options, deadline)
        failed += found.wrong
        words = about(recipe_of(settings_of(workload, options.device)))
        words += f". The same step in float64: losses and gradients {found.apart:.0e} apart"
        command = f"`python tests/benchmarks/step_time.py {shlex.join(sys.argv[1:])}`: {words}. {found.where}."
        tables = [table(STEPS, found.steps), table(COSTS, found.costs)]
        text = "\n\n".join([f"### {workload}, {options.device}", command, *tables, *found.wrong])
        print(f"\n{text}\n", flush=True)
        if options.record and found.steps:
            record(f"step_time {options.device} {workload}", text)
    print(*failed, sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
