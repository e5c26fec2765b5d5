"""A quiet Orbax: its printed lines, beside the errors that it raises, become debug lines."""

import inspect
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from orbax.checkpoint._src.serialization import tensorstore_utils

_log = logging.getLogger("jaxgan")


def quiet_orbax() -> None:
    """Turns what Orbax prints beside the errors it raises, hundreds of tracebacks on a full disk, into debug lines.

    Its event loop closes at the first failure. The other reads and writes find it closed, each on a thread of its own
    and at any later time, so that this holds for the rest of the process. Doing it again changes nothing.
    """
    if hasattr(tensorstore_utils, "get_tensorstore_raw_bytes"):
        tensorstore_utils.get_tensorstore_raw_bytes = _no_counters
    for logger in (logging.getLogger("absl"), logging.getLogger("asyncio")):
        logger.addFilter(_is_not_orbax)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    if sys.unraisablehook is not _unraisable:
        _outer.append(sys.unraisablehook)
        sys.unraisablehook = _unraisable


def _no_counters(*_: Any, **__: Any) -> int:
    """Stands for Orbax's reading of TensorStore's counters, which serves a log line and leaks some 10 kB each time."""
    return 0


def _is_not_orbax(record: logging.LogRecord) -> bool:
    its = "orbax" in record.pathname or (record.name == "asyncio" and "exception was never retrieved" in str(record.msg))
    if its:
        _log.debug("orbax: %s", record.getMessage())
    return not its


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    if inspect.iscoroutine(args.object) or "Event loop is closed" in str(args.exc_value):
        _log.debug("orbax: %s", args.exc_value)
    else:
        _outer[-1](args)


_outer: list[Callable[[Any], Any]] = []
