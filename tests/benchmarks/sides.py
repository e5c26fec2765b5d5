"""Sides of a benchmark as processes, turns between them, and what the turns say."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

HERE = Path(__file__).parent
BUSY = 0.8  # of its threads a side must have had, or another process had the cores
SCRIPTS = {"jaxgan": "side_jaxgan.py", "small_pages": "side_jaxgan.py", "naive": "side_naive.py"}  # all others are PyTorch's
LARGE_PAGES = "glibc.malloc.hugetlb=1"


class Side:
    """A process that works when told to."""

    def __init__(self, variant: str, settings: dict[str, Any]) -> None:
        env = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_PLATFORMS": str(settings["device"])}
        if variant == "large_pages":
            env["GLIBC_TUNABLES"] = LARGE_PAGES
        script = HERE / SCRIPTS.get(variant, "side_torch.py")
        words = [sys.executable, str(script), json.dumps(settings | {"variant": variant})]
        self.variant, self.settings = variant, settings
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
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


def measure(ours: Side, peer: Side, task: str, *, rounds: int, seconds: float, multiple: int = 1) -> Measured:
    """Turn by turn, so that whatever slows the machine slows both; a turn takes about so many seconds.

    On CPU a round counts only where both sides had their cores; where none counts, all are shown.
    """
    tried = [side.turn(task, multiple) for side in (ours, peer)]  # compiles
    tried = [side.turn(task, multiple) for side in (ours, peer)]
    count = multiple * max(1, min(1000, round(seconds / max(turn["wall"] for turn in tried) / multiple)))
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


def machine(ours: Side, peers: Sequence[Side] = ()) -> str:
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
