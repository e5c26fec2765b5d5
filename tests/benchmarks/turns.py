"""One side of a benchmark: a process of its own that works when told to and sleeps while the other side works."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Task(NamedTuple):
    """Something to time."""

    run: Callable[[int], None]  # so many times; may return before the device is done
    wait: Callable[[], None]  # until the device is done
    each: bool = False  # wait after each one, as someone who asks for a picture does


def serve(about: dict[str, Any], tasks: Mapping[str, Task], orders: Mapping[str, Callable[..., Any]]) -> None:
    """Says what it is, then answers each line.

    To `{"task": name, "count": n}` with wall and CPU seconds of one, and of the first of all; to `{"order": name, ...}` with
    what that order returns for the other fields.
    """
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    print(json.dumps(about), file=answer, flush=True)
    firsts: dict[str, float] = {}
    for line in sys.stdin:
        told = json.loads(line)
        if "order" in told:
            print(json.dumps(orders[told.pop("order")](**told)), file=answer, flush=True)
            continue
        name, count = told["task"], told["count"]
        task, start = tasks[name], time.perf_counter()
        task.run(1)  # caches and clocks, after the other side's turn; the first time it also compiles
        task.wait()
        firsts.setdefault(name, time.perf_counter() - start)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count if task.each else 1):
            task.run(1 if task.each else count)
            task.wait()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"wall": wall / count, "cpu": cpu / count, "first": firsts[name]}), file=answer, flush=True)


def fastest(run: Callable[[], Any], times: int = 8) -> float:
    """The least wall seconds of several."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return min(took)


def process_peak() -> int:
    """The most bytes of memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
