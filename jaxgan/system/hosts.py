"""Several processes that train one GAN: how they find each other, who speaks, and how they come to one decision.

All run the same program, and each has devices of its own. Whatever runs on the devices of all must be called by all in the
same order, so every choice that leads to such a call is a number that all of them have: computed from the step, or told by
process 0. Process 0 alone draws, measures and writes; the others wait for what it decides. They wait on the devices, in a
sum over all processes, with XLA's patience: half an hour on CPUs (`--xla_cpu_collective_timeout_seconds` in XLA_FLAGS), and
on GPUs without end unless `--xla_gpu_nccl_termination_timeout_seconds` sets one. A process that dies is noticed by its
missing heartbeats after 100 seconds, and ends the others.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgan.system.messages import say

T = TypeVar("T")


class Elsewhere(RuntimeError):
    """Another process met an error and tells of it; this one ends too, with the same status."""

    def __init__(self, status: int) -> None:
        super().__init__("another process met an error")
        self.status = status


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Makes this process one of several; nothing of JAX may have been used before. Only process 0 goes on to log.

    Args:
        coordinator: `HOST:PORT` at which process 0 is found; by default that of JAX_COORDINATOR_ADDRESS or the cluster's.
        processes: how many there are; by default as the cluster says (Slurm, Open MPI, Kubernetes, Cloud TPU).
        process: which one this is, from 0; likewise.

    Raises:
        ValueError: when it is not known who the others are, or they are not found within five minutes.
    """
    if coordinator is not None:
        _check_address(coordinator)
    if processes is not None and processes < 1:
        raise ValueError(f"processes: {processes}, but it must be at least 1")
    if process is not None and not 0 <= process < (processes or 2**31):
        raise ValueError(f"process: {process}, but it must be from 0 to {(processes or 2**31) - 1}")
    if coordinator is not None:
        logging.getLogger("jaxgan").info("looking for the others at %s, for five minutes at most", coordinator)
    try:
        with _within(_PATIENCE, coordinator or "the coordinator"):
            jax.distributed.initialize(coordinator, processes, process, initialization_timeout=_PATIENCE + 60)
    except ValueError as error:  # which of the three is missing
        raise ValueError(
            f"distributed: True, but no cluster says who takes part ({error}); give --coordinator HOST:PORT, --processes and "
            "--process"
        ) from error
    except RuntimeError as error:
        raise ValueError(f"coordinator: {coordinator}, but joining there failed: {str(error).splitlines()[0]}") from error
    if jax.process_index():
        logging.getLogger("jaxgan").setLevel(logging.CRITICAL)


_PATIENCE = 300  # seconds


@contextmanager
def _within(seconds: float, where: str) -> Iterator[None]:
    """Ends the process with one line where it waits for longer: JAX would end it with the stack of its C++."""

    def end() -> None:
        if not found.wait(seconds):
            say(f"jaxgan train: coordinator: {where}, but not all processes came there within {seconds:g} s")
            os._exit(2)

    found = threading.Event()
    threading.Thread(target=end, daemon=True).start()
    try:
        yield
    finally:
        found.set()


def _check_address(coordinator: str) -> None:
    """Refuses an address at which nobody can ever be found.

    Raises:
        ValueError: in one line.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"coordinator: {coordinator}, but it must be HOST:PORT, a port from 1 to 65535")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except OSError as error:
        raise ValueError(f"coordinator: {coordinator}, but no host of that name is known ({error.strerror})") from error


def is_first() -> bool:
    """Tells whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def told(values: Any) -> np.ndarray:
    """Numbers of process 0, told to all; of one process, its own. The shape must be that of process 0's."""
    return np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(values)))


def together(act: Callable[[], T]) -> T:
    """Does something in every process; where it fails in one it fails in all, and the first of those says why.

    Args:
        act: what is done. Where it uses the devices of others it must not fail in one process only.

    Raises:
        Elsewhere: where another process tells of the error.
    """
    if jax.process_count() == 1:
        return act()
    failed: Exception | None = None
    try:
        result = act()
    except Exception as error:
        failed = error
    statuses = np.ravel(multihost_utils.process_allgather(np.int32(0 if failed is None else _status(failed))))
    if not statuses.any():
        return result
    speaker = int(np.flatnonzero(statuses)[0])
    if failed is not None and jax.process_index() == speaker:
        raise failed
    raise Elsewhere(int(statuses[speaker])) from failed


def on_main_process(act: Callable[[], T]) -> T | None:
    """Does something in process 0 alone, while the others wait; where it fails, all fail. None in the others."""
    return together(lambda: act() if is_first() else None)


class Leave(BaseException):
    """A signal came while what runs may be left at once; not an error, so that nothing but its owner catches it."""


_left: list[threading.Thread] = []  # whose work a signal broke off


_STATUSES = (
    "UNKNOWN: ",
    "INTERNAL: ",
    "UNAVAILABLE: ",
    "ABORTED: ",
    "CANCELLED: ",
    "DEADLINE_EXCEEDED: ",
    "FAILED_PRECONDITION: ",
)
_SIGNS = ("Gloo", "NCCL", "heartbeat", "Connection reset", "Connection closed", "oordination", "UNAVAILABLE")
_lost: list[str] = []


def lost(error: BaseException) -> str | None:
    """Returns the words for another process that is gone, where an error of JAX's tells of one; None otherwise."""
    # A collective that fails as it is dispatched is a ValueError with XLA's words.
    if not isinstance(error, (jax.errors.JaxRuntimeError, ValueError)) or jax.process_count() == 1:
        return None
    told = next(iter(str(error).splitlines()), "")
    if not told.startswith(_STATUSES) or not any(sign in told for sign in _SIGNS):
        return None
    _lost.append(told)
    return f"another process is gone ({told[:160]}); what was saved is intact, and the same command goes on from it"


def is_held_up() -> bool:
    """Tells whether the interpreter's end would wait: for work that was left, or for a process that is gone."""
    return bool(_lost) or any(thread.is_alive() for thread in _left)


class Signals:
    """The signals of a process: tells which one came, and lets it end what may be left."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.watched = False  # no signal reaches a thread other than the main one
        self.lost: Callable[[], str] = lambda: "what was saved is intact"  # words for what a second signal costs
        self._asked = 0

    def __call__(self) -> int:
        """Returns the number of the signal that came, or 0; every process must call it equally often."""
        if jax.process_count() == 1:
            return self.came[0] if self.came else 0
        self._asked += 1  # the number of calls, not of steps: what is agreed on is a number plus one
        reached = multihost_utils.reached_preemption_sync_point(self._asked)
        return (self.came[0] if self.came else int(signal.SIGTERM)) if reached else 0

    def handle(self, number: int, _: Any) -> None:
        """Notes the first signal and says so; ends the process at the second, from which nothing that is committed suffers."""
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self.came:
            _tell(f"{name} again: ended at once; {self.lost()}")
            os._exit(128 + number)
        self.came.append(number)
        _tell(f"{name}: saving, then ending; once more ends at once")
        if jax.process_count() > 1:
            signal.raise_signal(signal.SIGTERM)

    def leaving(self, act: Callable[[], T]) -> T:
        """Does what a signal may break off: an evaluation, a compilation.

        Python hears of a signal between two of its own instructions, and a compilation has none for minutes. So another
        thread does it and this one waits; when a signal comes that thread is left to itself, whatever it is busy with. Of
        several processes each does it itself, to its end: the others wait for it.

        Raises:
            Leave: when a signal came, before or meanwhile.
        """
        if jax.process_count() > 1 or not self.watched:
            return act()
        results: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(act())
            except BaseException as error:
                errors.append(error)

        if self.came:
            raise Leave
        thread = _started(work)
        while thread.is_alive():
            thread.join(_LOOK)
            if self.came and thread.is_alive():
                _left.append(thread)
                raise Leave
        if errors:
            raise errors[0]
        return results[0]


def _tell(line: str) -> None:
    """Writes a line to stderr past Python's buffers, which the code that a signal interrupts may hold; process 0 alone."""
    if is_first():
        with contextlib.suppress(OSError):
            os.write(2, f"\n{line}\n".encode())


_LOOK = 0.2  # seconds from one look for a signal that another thread was interrupted by to the next


def _started(work: Callable[[], None]) -> threading.Thread:
    """Starts a thread with the stack of a main one, which compilers of deep programs need."""
    thread = threading.Thread(target=work, name="may be left", daemon=True)
    before = threading.stack_size(2**24)
    try:
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


@contextmanager
def signals() -> Iterator[Signals]:
    """Watches for SIGTERM, SIGHUP and Ctrl-C, and yields what says after each dispatch which came, or 0.

    One process: the first signal is noted, the second ends the process at once. Several: JAX's own handler has SIGTERM (one
    of Python's would switch it off without a word); from any process it reaches all within seconds, and they agree on a
    dispatch after which all of them hear of it. The others are passed on as that. SIGHUP that is ignored already,
    as under nohup, stays so. In a thread other than the main one Python takes no handlers: nothing is watched there.
    """
    found = Signals()
    names = ("SIGINT", "SIGHUP") if jax.process_count() > 1 else ("SIGTERM", "SIGINT", "SIGHUP")
    watched = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        watched = []
    hangup = getattr(signal, "SIGHUP", None)
    watched = [number for number in watched if number != hangup or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, found.handle) for number in watched}
    found.watched = bool(before)
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not Python's


def _status(error: Exception) -> int:
    """With which status the command line ends on it; never 0."""
    return 2 if isinstance(error, (ValueError, OSError)) else 1
