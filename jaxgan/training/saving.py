"""Saves of a training: each is committed before training goes on, and one that fails is tried again."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Container, Iterator
from typing import IO

import jax

from jaxgan.core.types import GANState
from jaxgan.recipes import record
from jaxgan.system import files, hosts, lock
from jaxgan.training.checkpoint import writing
from jaxgan.training.checkpoint.errors import SaveError
from jaxgan.training.run import Run

log = logging.getLogger("jaxgan")

TRIES = 3  # saves in turn that may fail
_FILES = 2**18  # bytes that a checkpoint's files take besides the arrays


class Saver:
    """Saves the states of one training, and counts the saves that fail."""

    def __init__(self, run: Run, checkpoints: writing.Checkpoints, reserve: IO[bytes] | None) -> None:
        """Keeps a run's open folder of checkpoints and the room beside it, see `opened`."""
        self._checkpoints, self._reserve, self._record = checkpoints, reserve, run.path / record.FILE
        self._recorded = files.read(self._record)
        self._failed = 0  # saves since the last one that succeeded
        self.steps = checkpoints.steps

    def save(self, state: GANState, *, must: bool) -> None:
        """Saves a state, and returns once it is committed: a kill at any later moment loses only what comes after.

        A save that fails is a warning, and training goes on until the next one is due. The third failure in turn ends
        training, and so does that of a state after which none comes: such a state takes the room that was kept for it.

        Args:
            state: at the step to save.
            must: no save comes after this one.

        Raises:
            SaveError: when training is to end, with the last good checkpoint and what to do.
        """
        hosts.together(self._keep_lock)
        try:
            self._checkpoints.save(state, wait=True)
        except SaveError as error:
            self._failed += 1
            if not must and self._failed < TRIES and jax.process_count() == 1:
                log.warning("%s; training goes on, and saves again at the next checkpoint's time", error)
                return
            self._save_at_last(state, error, must=must)
        self._failed = 0
        if hosts.is_first():
            self._keep_record()

    def _keep_lock(self) -> None:
        """Ends training where another process has begun in this folder, which was removed or moved meanwhile."""
        if not hosts.is_first():
            return
        try:
            lock.keep(self._record.parent)
        except lock.Held as error:
            raise SaveError(f"{self._record.parent} was removed or moved, and {error}; nothing is saved there") from error
        except OSError as error:
            log.warning("%s has gone, and cannot be made anew: %s", self._record.parent, error)

    def _keep_record(self) -> None:
        """Writes recipe.json anew where it has gone: without it the folder that was just saved in would be no run."""
        try:
            if self._record.is_file():
                self._recorded = files.read(self._record)
                return
            files.write(self._record, self._recorded)
        except OSError as error:
            log.warning("%s has gone, and was not written anew: %s", self._record, error)
            return
        log.warning("%s had gone (was the run moved or removed?): it was written anew", self._record)

    def _save_at_last(self, state: GANState, error: SaveError, *, must: bool) -> None:
        """Saves once more, in the room that was kept; raises where that fails, and where training is to end for it."""
        saved, step = self._in_reserve(state), int(state.step)
        if saved and must:
            log.warning("%s; it was saved in the room that was kept for it", error)
            return
        there = self._checkpoints.steps()
        last = f"the last good checkpoint is {there[-1]}" if there else "there is no checkpoint"
        tried = f"step {step} was saved in the room that was kept for it; " if saved else ""
        words = f"{error}; {tried}{last}; once there is room the same command goes on from it"
        raise SaveError(words) from error

    def _in_reserve(self, state: GANState) -> bool:
        if self._reserve is None:
            return False
        self._reserve.close()  # which gives its room back to the disk
        self._reserve = None
        try:
            self._checkpoints.save(state, wait=True)
        except SaveError as again:
            log.debug("in the room that was kept: %s", again)
            return False
        return True


@contextlib.contextmanager
def opened(run: Run, abstract: GANState, also: Callable[[], Container[int]]) -> Iterator[Saver]:
    """Opens a run's folder of checkpoints for a training, and keeps the room of one more while it is open.

    On a disk that others fill meanwhile, the last state takes that room. Some file systems cannot reserve any.

    Args:
        run: to save in.
        abstract: shapes and dtypes of the states.
        also: as for `writing.open_checkpoints`.

    Yields:
        A `Saver`.

    Raises:
        ValueError, SaveError: as `writing.open_checkpoints`.
    """
    keep = run.recipe.keep_checkpoints
    with writing.open_checkpoints(run.checkpoints, keep=keep, also=also) as checkpoints, contextlib.ExitStack() as held:
        reserve = None
        if jax.process_count() == 1:
            with contextlib.suppress(OSError, AttributeError):  # a full disk, or a system without such a call
                reserve = held.enter_context(_reserved(run, writing.bytes_of(abstract) * 5 // 4 + _FILES))
        yield Saver(run, checkpoints, reserve)


@contextlib.contextmanager
def _reserved(run: Run, size: int) -> Iterator[IO[bytes]]:
    """Yields a file of a size that has no name, so that its room is free again as soon as it is closed, or killed."""
    with tempfile.TemporaryFile(dir=run.checkpoints) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        yield file
