"""One side of a benchmark: a process of its own that works when told to and sleeps while the other side works."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Task(NamedTuple):
    """Something to time."""

    run: Callable[[int], None]  # so many times; may return before the device is done
    wait: Callable[[], None]  # until the device is done
    each: bool = False  # wait after each one, as someone who asks for a picture does


def serve(about: dict[str, Any], tasks: dict[str, Task]) -> None:
    """Says what it is, then answers each line `{"task": ..., "count": ...}` with wall and CPU seconds of one."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    print(json.dumps(about), file=answer, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        task, count = tasks[order["task"]], order["count"]
        task.run(1)  # caches and clocks, after the other side's turn
        task.wait()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count if task.each else 1):
            task.run(1 if task.each else count)
            task.wait()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"wall": wall / count, "cpu": cpu / count}), file=answer, flush=True)
