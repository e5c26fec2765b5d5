"""Sides of a benchmark as processes, turns between them, and what the turns say."""

import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any, ClassVar, NamedTuple

HERE = Path(__file__).parent
BUSY = 0.8  # of its threads a side must have had, or another process had the cores
SCRIPTS = {"jaxgan": "side_jaxgan.py", "small_pages": "side_jaxgan.py", "naive": "side_naive.py"}  # all others are PyTorch's
LARGE_PAGES = "glibc.malloc.hugetlb=1"


class Side:
    """A process that works when told to."""

    processes: ClassVar[list[subprocess.Popen[str]]] = []

    def __init__(self, variant: str, settings: dict[str, Any]) -> None:
        env = os.environ | {
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92",
            "JAX_PLATFORMS": str(settings["device"]),
        }
        if variant == "large_pages":
            env["GLIBC_TUNABLES"] = LARGE_PAGES
        script = HERE / SCRIPTS.get(variant, "side_torch.py")
        words = [sys.executable, str(script), json.dumps(settings | {"variant": variant})]
        self.variant, self.settings = variant, settings
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.processes.append(self.process)
        self.about = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.variant} stopped with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, **told: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def turn(self, task: str, count: int) -> dict[str, float]:
        return self.tell(task=task, count=count)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


Asked = Mapping[str, tuple[float, int]]  # of each task, seconds of a turn and what its count is a multiple of


def kill(processes: Iterable[subprocess.Popen[str]] | None = None) -> None:
    """Ends sides, by default all that still work, and with them the waiting for their answers."""
    for process in Side.processes if processes is None else processes:
        process.kill()


class Alone:
    """What a side did while it had the device to itself: takes its place beside another that would not fit as well."""

    def __init__(self, side: Side, asked: Asked, rounds: int) -> None:
        self.variant, self.settings, self.about = side.variant, side.settings, side.about
        turns = {}
        for task, (seconds, multiple) in asked.items():
            tried = [side.turn(task, multiple) for _ in range(2)]
            count = count_of(tried[1:], seconds, multiple)
            turns[task] = [side.turn(task, count) for _ in range(rounds)]
        self.turns = {task: itertools.cycle(each) for task, each in turns.items()}
        orders = ("gemm", "memory", "recompiled") if side.variant == "jaxgan" else ("gemm", "memory")
        self.told = {order: side.tell(order=order) for order in orders}
        side.end()

    def turn(self, task: str, count: int) -> dict[str, float]:
        return next(self.turns[task])

    def tell(self, order: str) -> dict[str, Any]:
        return self.told[order]

    def end(self) -> None:
        """Has ended already."""


def ready(variant: str, settings: dict[str, Any], asked: Asked) -> Side:
    """A side that has compiled all it is asked for."""
    side = Side(variant, settings)
    for task, (_, multiple) in asked.items():
        side.turn(task, multiple)
    return side


def all_ready(wanted: Mapping[Any, tuple[str, dict[str, Any], Asked]]) -> dict[Any, Future[Side]]:
    """Starts many sides at once: compiling takes most of the time, and one processor each."""
    pool = ThreadPoolExecutor(max(1, len(wanted)))
    started = {name: pool.submit(ready, *words) for name, words in wanted.items()}
    pool.shutdown(wait=False)
    return started


class Spread(NamedTuple):
    """Quartiles."""

    low: float
    median: float
    high: float


class Measured(NamedTuple):
    """A task in turns: seconds of one, and the peer's over jaxgan's, above 1 where jaxgan is faster."""

    task: str
    ours: float
    theirs: float
    ratio: Spread
    cpu_ratio: float
    ours_busy: float  # CPU seconds over wall seconds
    theirs_busy: float
    rounds: int
    counted: int
    firsts: tuple[float, float]  # seconds of the first one of all, compilation included


def spread(values: Sequence[float]) -> Spread:
    return Spread(*quantiles(values, n=4, method="inclusive")) if len(values) > 1 else Spread(*[values[0]] * 3)


def count_of(tried: Sequence[dict[str, float]], seconds: float, multiple: int) -> int:
    """How many make a turn of so many seconds."""
    return multiple * max(1, min(1000, round(seconds / max(turn["wall"] for turn in tried) / multiple)))


def measure(ours: Side | Alone, peer: Side | Alone, task: str, *, rounds: int, seconds: float, multiple: int = 1) -> Measured:
    """Turn by turn, so that whatever slows the machine slows both; a turn takes about so many seconds.

    On CPU a round counts only where both sides had their cores; where none counts, all are shown.
    """
    tried = [side.turn(task, multiple) for side in (ours, peer)]  # compiles
    tried = [side.turn(task, multiple) for side in (ours, peer)]
    count = count_of(tried, seconds, multiple)
    pairs = []
    for number in range(rounds):
        order = (ours, peer) if number % 2 else (peer, ours)
        turns = {side.variant: side.turn(task, count) for side in order}
        pairs.append((turns[ours.variant], turns[peer.variant]))
    cpu = ours.settings["device"] == "cpu"
    # A single sample is too small to share out: one core will do.
    threads = [1 if task == "sample 1" else side.about["threads"] for side in (ours, peer)]
    least = [BUSY * count if cpu else 0.0 for count in threads]
    good = [pair for pair in pairs if all(turn["cpu"] >= c * turn["wall"] for turn, c in zip(pair, least, strict=True))]
    used = good or pairs
    return Measured(
        task,
        median(a["wall"] for a, _ in used),
        median(b["wall"] for _, b in used),
        spread([b["wall"] / a["wall"] for a, b in used]),
        median(b["cpu"] / a["cpu"] for a, b in used),
        median(a["cpu"] / a["wall"] for a, _ in used),
        median(b["cpu"] / b["wall"] for _, b in used),
        rounds,
        len(good),
        (pairs[0][0]["first"], pairs[0][1]["first"]),
    )


def machine(ours: Side | Alone, peers: Sequence[Side | Alone] = ()) -> str:
    """The device and the versions, in a line."""
    versions = {"Python": platform.python_version(), **ours.about["versions"]}
    for peer in peers:
        versions |= peer.about["versions"]
    return machine_words(ours.about["device"], str(ours.settings["device"]), versions)


def machine_words(kind: str, device: str, versions: dict[str, str]) -> str:
    """Likewise, of what is known already."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    processor = f"{len(os.sched_getaffinity(0))} cores, {names[0] if names else platform.machine()}"
    where = processor if device == "cpu" else f"{kind} ({processor})"
    return f"{where}; {', '.join(f'{name} {number}' for name, number in versions.items())}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def record(name: str, text: str) -> None:
    """Puts a section into RESULTS.md in place of the one of that name, or at the end."""
    path = HERE / "RESULTS.md"
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    old, section = path.read_text(), f"{begin}\n{text.strip()}\n{end}\n"
    before, found, rest = old.partition(begin)
    path.write_text(before + section + rest.partition(f"{end}\n")[2] if found else f"{old.rstrip()}\n\n{section}")
