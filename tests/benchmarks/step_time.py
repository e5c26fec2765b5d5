"""How long a training step takes, and a sample: jaxgan beside PyTorch and beside naive flax, turn by turn on one machine.

    python tests/benchmarks/step_time.py [--workloads DCGAN-32 ..] [--peers tuned ..] [--device cpu|cuda] [--record]

The workloads are in workloads.py, the peers in side_torch.py and side_naive.py. PyTorch's weights and jaxgan's images and z are
shared first: both take one step in float64, and losses and gradients must agree. Then jaxgan and one peer at a time take turns,
each a process of its own: each pair of turns is a round with a ratio, the peer's time over jaxgan's. On CPU a round counts only
when both sides had their cores: CPU over wall seconds at least 0.8 of the threads, so 1.6 of 2; where none counts, the row
shows all of them. GFLOP/s are of products and convolutions in their direct form, whatever form computes them, and their share
is of what the faster side makes of a large matrix product in the same run.

`--at-once` first starts all sides of all workloads, which then compile side by side, and measures when all are ready: for a
machine with more cores than time, where "first step" then is a time beside others. `--alone` is for workloads of which two
sides do not fit one device: each has it to itself for all its turns.

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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from sides import Alone, Asked, Measured, Side, all_ready, kill, machine, measure, record, table
from workloads import about, names, recipe_of, settings_of

SAMPLES = ("sample 1", "sample 64", "sample 512")
PEERS = ("tuned", "eager", "channels_last", "compile", "graph", "large_pages", "naive", "small_pages")
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


def step_row(workload: str, peer: Side | Alone, found: Measured) -> list[str]:
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


def settings_under(workload: str, options: argparse.Namespace) -> dict[str, object]:
    half = options.device != "cpu" and workload in options.half
    return settings_of(workload, options.device, "bfloat16" if half else options.precision)


def asked_of(workload: str, variant: str, options: argparse.Namespace) -> Asked:
    """The tasks of a side: steps in whole dispatches and intervals, and samples where they are wanted."""
    recipe = recipe_of(settings_under(workload, options))
    asked = {"step": (options.seconds, math.lcm(recipe.penalty.interval, recipe.steps_per_dispatch))}
    sampled = options.sampled if variant == "jaxgan" else variant in options.sampled
    return asked | (dict.fromkeys(SAMPLES, (options.seconds / 2, 1)) if sampled else {})


def peers_of(workload: str, options: argparse.Namespace) -> list[str]:
    naive = workload.startswith("DCGAN") and workload not in options.half
    return [variant for variant in options.peers if variant != "naive" or naive]


def settled(side: Future[Side]) -> bool:
    return side.done() and side.exception() is None


class Start:
    """Gives each side when it is its turn; with `--at-once` all of them, and the checks, have been under way from the first."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.sides, self.checks = options, dict[Any, Future[Side]](), dict[str, Future[float]]()
        if options.at_once:
            wanted = {
                (workload, variant): (variant, settings_under(workload, options), asked_of(workload, variant, options))
                for workload in options.workloads
                if workload not in options.alone
                for variant in ["jaxgan", *peers_of(workload, options)]
            }
            self.sides = all_ready(wanted)
            pool = ThreadPoolExecutor(len(options.workloads))
            checked = [] if options.unchecked else options.workloads
            self.checks = {each: pool.submit(same_step, each, options.device) for each in checked}
            late = wait([*self.sides.values(), *self.checks.values()], timeout=min(options.limit / 2, 3_600.0)).not_done
            if late:
                kill(set(Side.processes) - {each.result().process for each in self.sides.values() if settled(each)})
            print(f"{len(late)} sides late after {time.monotonic() - options.began:.0f} s", file=sys.stderr, flush=True)

    def side(self, workload: str, variant: str) -> Side | Alone:
        future = self.sides.get((workload, variant))
        if future is None:
            side = Side(variant, settings_under(workload, self.options))
            if workload in self.options.alone:
                return Alone(side, asked_of(workload, variant, self.options), self.options.rounds)
            return side
        if not future.done():
            raise RuntimeError("not ready in time")
        return future.result()

    def apart(self, workload: str) -> float:
        if self.options.unchecked:
            return math.nan
        check = self.checks.get(workload)
        if check is None:
            return same_step(workload, self.options.device)
        if not check.done():
            raise RuntimeError("the same step: not ready in time")
        return check.result()


def of_workload(workload: str, options: argparse.Namespace, start: Start, deadline: float) -> Found:
    """Measures jaxgan beside each peer in turn."""
    settings = settings_under(workload, options)
    title = f"{workload}, bfloat16" if settings["precision"] == "bfloat16" else workload
    rows, costs, peers, wrong = list[list[str]](), list[tuple[str, float, float, int]](), list[Side | Alone](), list[str]()
    taken, apart = list[float](), math.nan
    try:
        apart = start.apart(workload)
    except RuntimeError as error:
        if not options.at_once:
            raise
        wrong.append(f"{title}: {error}")
    ours = start.side(workload, "jaxgan")
    first, peak = ours.turn("step", asked_of(workload, "jaxgan", options)["step"][1])["first"], ours.tell(order="gemm")["peak"]
    for variant in peers_of(workload, options):
        try:
            if time.monotonic() > deadline:
                raise RuntimeError("no time was left")
            peer = start.side(workload, variant)
            if peer.about["parameters"] != ours.about["parameters"]:
                raise RuntimeError(f"{peer.about['parameters']} parameters, but jaxgan has {ours.about['parameters']}")
            peak = peak if variant == "naive" else max(peak, peer.tell(order="gemm")["peak"])
            for task, (seconds, multiple) in asked_of(workload, variant, options).items():
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
    parser.add_argument("--precision", choices=("float32", "tf32"), help="of products; on CUDA TF32, which is XLA's default")
    parser.add_argument("--half", nargs="*", default=["R3GAN-32 E", "StyleGAN2-64"], help="in bfloat16, on CUDA")
    parser.add_argument("--peers", nargs="+", choices=PEERS)
    parser.add_argument("--sampled", nargs="*", default=["tuned"], help="peers that draw samples too")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn, about")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no other peer is begun")
    parser.add_argument("--unchecked", action="store_true", help="do not compare the step with PyTorch's first")
    parser.add_argument("--at-once", action="store_true", help="start all sides first, then measure")
    parser.add_argument("--alone", nargs="*", default=[], help="workloads of which one side at a time is on the device")
    parser.add_argument("--record", action="store_true", help="put the tables into RESULTS.md")
    options = parser.parse_args()
    known = names(options.device)
    options.workloads, options.peers = options.workloads or known, options.peers or ["tuned", "eager", "compile", "naive"]
    if unknown := set(options.workloads) - set(known):
        parser.error(f"--workloads: {', '.join(sorted(unknown))}, but there are {', '.join(known)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds above 0")
    options.precision = options.precision or ("float32" if options.device == "cpu" else "tf32")
    options.began = time.monotonic()
    deadline, failed, start = options.began + options.limit, list[str](), Start(options)
    for workload in options.workloads:
        if time.monotonic() > deadline:
            failed.append(f"{workload}: no time was left")
            continue
        try:
            found = of_workload(workload, options, start, deadline)
        except RuntimeError as error:
            failed.append(f"{workload}: {error}")
            continue
        failed += found.wrong
        words = about(recipe_of(settings_of(workload, options.device)))
        words += f". The same step in float64: losses and gradients {found.apart:.0e} apart" if found.apart >= 0 else ""
        command = f"`python tests/benchmarks/step_time.py {shlex.join(sys.argv[1:])}`: {words}. {found.where}."
        tables = [table(STEPS, found.steps), table(COSTS, found.costs)]
        text = "\n\n".join([f"### {workload}, {options.device}", command, *tables, *found.wrong])
        print(f"\n{text}\n", flush=True)
        if options.record and found.steps:
            record(f"step_time {options.device} {workload}", text)
    kill()
    print(*failed, sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
