"""How time and memory of a DCGAN's step grow with the batch and with the side of the image, beside PyTorch.

    python tests/benchmarks/growth.py [--batches 16 64 ..] [--sides 32 64 ..] [--device cpu|cuda] [--record]

Each point is measured by two processes of its own, jaxgan and eager PyTorch with channels_last and fused Adam, in turns as
in step_time.py; memory is the most that the process, on CUDA the device, ever held. On CUDA all sides are started first.
`--record` puts the table into RESULTS.md.
"""

import argparse
import math
import shlex
import sys
import time
from concurrent.futures import Future, wait

from sides import Asked, Side, all_ready, kill, machine, measure, record, table
from workloads import settings_of

HEADER = ["side", "batch", "jaxgan ms an image", "peer ms an image", "ratio", "jaxgan MiB", "peer MiB"]
HEADER += ["CPU/wall: jaxgan, peer", "rounds that count"]
VARIANTS = ("jaxgan", "channels_last")
SIDE_BATCH = 16  # of the points that differ in side


def started_sides(points: list[tuple[int, int]], options: argparse.Namespace) -> dict[tuple[int, int], list[Future[Side]]]:
    """Both sides of each point, on their way."""
    asked: Asked = {"step": (options.seconds, 1)}
    precision = "float32" if options.device == "cpu" else "tf32"
    wanted = {
        (*point, variant): (variant, settings_of("DCGAN-32", options.device, precision, batch=point[1], size=point[0]), asked)
        for point in points
        for variant in VARIANTS
    }
    futures = all_ready(wanted)
    wait(futures.values(), timeout=min(options.limit, 3_600.0))
    return {point: [futures[*point, variant] for variant in VARIANTS] for point in points}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 64, 128, 256, 512], help="at side 32")
    parser.add_argument("--sides", type=int, nargs="*", default=[32, 64, 128], help=f"at batch {SIDE_BATCH}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.5, help="of one turn, about")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no other point is begun")
    parser.add_argument("--record", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    points = list(dict.fromkeys([(32, batch) for batch in options.batches] + [(side, SIDE_BATCH) for side in options.sides]))
    rows, where, deadline = list[list[str]](), "", time.monotonic() + options.limit
    # On CPU a point at a time, or their memory would add up.
    at_once = points if options.device == "cuda" else []
    started = started_sides(at_once, options)
    for point in points:
        side, batch = point
        if time.monotonic() > deadline:
            break
        try:
            ours, peer = (future.result() for future in (started if at_once else started_sides([point], options))[point])
        except RuntimeError as error:
            print(f"side {side}, batch {batch}: {error}", file=sys.stderr)
            continue
        found = measure(ours, peer, "step", rounds=options.rounds, seconds=options.seconds)
        memory = [each.tell(order="memory")["bytes"] / 2**20 for each in (ours, peer)]
        where = machine(ours, [peer])
        for each in (ours, peer):
            each.end()
        times = [f"{1e3 * seconds / batch:.3f}" for seconds in (found.ours, found.theirs)]
        busy = f"{found.ours_busy:.2f}, {found.theirs_busy:.2f}"
        counted = f"{found.counted} of {found.rounds}"
        ratio, held = f"{found.ratio.median:.2f}", [f"{each:.0f}" for each in memory]
        rows.append([str(side), str(batch), *times, ratio, *held, busy, counted])
        print(*rows[-1], sep=" | ", flush=True)
    command = f"`python tests/benchmarks/growth.py {shlex.join(sys.argv[1:])}`: DCGAN of width 64. {where}."
    text = "\n\n".join([f"### How a step grows, {options.device}", command, table(HEADER, rows)])
    print(f"\n{text}")
    kill()
    if options.record and rows:
        record(f"growth {options.device}", text)
    return 0 if len(rows) == len(points) else 1


if __name__ == "__main__":
    sys.exit(main())
