"""How long a step takes, and a sample: jaxgan beside tuned PyTorch, turn by turn on the same machine.

    python tests/benchmarks/step_time.py [--size 32 64] [--device cpu|cuda] [--peer eager compile graph] [--steps 60]

DCGAN of width 64, batch 64, batch normalisation, non-saturating loss, Adam, one z for both updates, float32. Each side is a
process of its own; they take turns of a few steps, so that whatever slows the machine slows both, and each pair of turns is a
round with a ratio of its own: the peer's time over jaxgan's, above 1 where jaxgan is faster. On CPU a round counts only when
both sides were given their cores: CPU over wall seconds at least 0.8 of the threads, so 1.6 of 2; where none counts, the row
shows all of them, and says so.
Prints one JSON object a peer and a task, then rows of a Markdown table; needs PyTorch beside jaxgan.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles
from typing import Any

HERE = Path(__file__).parent
TASKS = ("step", "sample", "sample one")
BUSY = 0.8  # of its threads a side must have had, or another process had the cores


class Side:
    """A process that works when told to."""

    def __init__(self, script: str, settings: dict[str, Any]) -> None:
        env = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_PLATFORMS": settings["device"]}
        words = [sys.executable, str(HERE / script), json.dumps(settings)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.about = self.answer()

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[1]} stopped with status {self.process.wait()}")
        return json.loads(line)

    def turn(self, task: str, count: int) -> dict[str, float]:
        self.process.stdin.write(json.dumps({"task": task, "count": count}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high}


def measure(ours: Side, peer: Side, task: str, rounds: int, block: int, device: str) -> dict[str, Any]:
    pairs = []
    for number in range(rounds):
        sides = (ours, peer) if number % 2 else (peer, ours)
        turns = {side: side.turn(task, block) for side in sides}
        pairs.append((turns[ours], turns[peer]))
    # A single sample is too small to share out: one core will do.
    threads = [1 if task == "sample one" else side.about["threads"] for side in (ours, peer)]
    cores = [BUSY * count if device == "cpu" else 0.0 for count in threads]
    counted = [pair for pair in pairs if all(turn["cpu"] / turn["wall"] >= c for turn, c in zip(pair, cores, strict=True))]
    used = counted or pairs
    return {
        "rounds": rounds,
        "rounds_counted": len(counted),
        "block": block,
        "turns": pairs,
        "jaxgan_ms": 1e3 * median(a["wall"] for a, _ in used),
        "peer_ms": 1e3 * median(b["wall"] for _, b in used),
        "ratio": spread([b["wall"] / a["wall"] for a, b in used]),
        "cpu_ratio": spread([b["cpu"] / a["cpu"] for a, b in used]),
        "jaxgan_cpu_over_wall": median(a["cpu"] / a["wall"] for a, _ in used),
        "peer_cpu_over_wall": median(b["cpu"] / b["wall"] for _, b in used),
    }


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores, {names[0] if names else platform.machine()}"


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def row(result: dict[str, Any]) -> str:
    ratio, cpu = result["ratio"], result["cpu_ratio"]
    cells = [
        f"DCGAN-{result['size']} {result['task']}",
        f"{result['device']}, {result['precision']}" if result["device"] != "cpu" else "cpu",
        result["peer"],
        f"{result['jaxgan_ms']:.2f}",
        f"{result['peer_ms']:.2f}",
        f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
        f"{cpu['median']:.2f}",
        f"{result['jaxgan_cpu_over_wall']:.2f}, {result['peer_cpu_over_wall']:.2f}",
        f"{result['rounds_counted']} of {result['rounds']}",
    ]
    return line(cells)


HEADER = ["what", "device", "peer", "jaxgan ms", "peer ms", "ratio (quartiles)", "ratio of CPU time"]
HEADER += ["CPU/wall: jaxgan, peer", "rounds that count"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", choices=(32, 64), default=(32, 64), help="side of the image")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32"), default="float32", help="of products, on CUDA")
    parser.add_argument("--peer", nargs="+", choices=("eager", "compile", "graph"), help="eager; on CUDA all three")
    parser.add_argument("--steps", type=int, help="steps of each side in all: 60, on CUDA 2000")
    parser.add_argument("--block", type=int, help="steps of one turn: 5, on CUDA 100")
    parser.add_argument("--out", type=Path, help="also append the JSON lines here")
    options = parser.parse_args()
    cuda = options.device == "cuda"
    steps = (2000 if cuda else 60) if options.steps is None else options.steps
    block = (100 if cuda else 5) if options.block is None else options.block
    if min(steps, block, options.width, options.batch) < 1:
        parser.error("--steps, --block, --width and --batch must be at least 1")
    block = min(block, steps)

    rows = []
    for size in options.size:
        settings = {name: getattr(options, name) for name in ("width", "batch", "device", "precision")} | {"size": size}
        for variant in options.peer or (("eager", "compile", "graph") if cuda else ("eager",)):
            try:  # the peer tunes itself on a machine that is still idle
                peer = Side("side_torch.py", settings | {"variant": variant})
            except RuntimeError as error:
                print(f"torch {variant}: {error}", file=sys.stderr)
                continue
            ours = Side("side_jaxgan.py", settings | {"variant": "one step a dispatch"})
            if ours.about["parameters"] != peer.about["parameters"]:
                raise RuntimeError(
                    f"not the same networks: {ours.about['parameters']} and {peer.about['parameters']} parameters"
                )
            for task in TASKS:
                result = {
                    **settings,
                    "task": task,
                    "peer": f"torch {peer.about['choices']}",
                    "machine": machine(),
                    "accelerator": ours.about["device"],
                    "versions": {"python": platform.python_version(), **ours.about["versions"], **peer.about["versions"]},
                    **measure(ours, peer, task, steps // block, block, options.device),
                }
                rows.append(row(result))
                print(json.dumps(result), flush=True)
                if options.out:
                    with options.out.open("a") as file:
                        print(json.dumps(result), file=file)
            ours.end()
            peer.end()
    print("", line(HEADER), line(["---"] * len(HEADER)), *rows, sep="\n")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
