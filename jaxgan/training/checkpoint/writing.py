"""States written into a folder of checkpoints; remains of failed saves are removed, superseded checkpoints set aside."""

import contextlib
import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from jaxgan.core.types import GANState
from jaxgan.system import files, hosts
from jaxgan.training.checkpoint import restoring
from jaxgan.training.checkpoint.checksums import FORMAT, digest_of, table_of
from jaxgan.training.checkpoint.errors import CheckpointError, SaveError, line_of
from jaxgan.training.checkpoint.quiet import quiet_orbax

_log = logging.getLogger("jaxgan")


class Checkpoints(NamedTuple):
    """An open folder of checkpoints."""

    save: Callable[..., None]  # (state, *, wait=False), at step int(state.step)
    steps: Callable[[], list[int]]  # the committed ones, ascending
    wait: Callable[[], None]  # until the last save is committed


@dataclass
class _Also:
    """Orbax's protocol of a preservation policy: which checkpoints stay."""

    steps: Callable[[], Container[int]]

    def should_preserve(self, checkpoints: Sequence[Any], **_: Any) -> list[bool]:
        steps = self.steps()
        return [each.step in steps for each in checkpoints]


@contextlib.contextmanager
def open_checkpoints(
    directory: str | os.PathLike[str], *, keep: int = 3, also: Callable[[], Container[int]] = tuple
) -> Iterator[Checkpoints]:
    """Opens a folder to save into, making it where needed and clearing away what a killed save left.

    `save(state)` returns once the state is copied off the device, so its buffers may be donated at once; the writing
    goes on in the background. An error there surfaces, as `SaveError`, at the next `save`, `wait` or at the end of the
    `with`. `save(state, wait=True)` returns once the checkpoint is committed. After an error what was half written is
    removed, and the next save begins anew. Saving the same step twice is saving it once. Where training went on from an
    earlier checkpoint, the first save sets those at its own step and later aside, as `STEP.superseded`.

    Args:
        directory: the folder, on a file system with atomic renames.
        keep: how many of the latest checkpoints stay.
        also: asked at each save for further steps to keep, for instance the best one so far.

    Yields:
        `Checkpoints`.

    Raises:
        ValueError: when `keep` is below 1, or the folder cannot be made or written to.
        SaveError: when a checkpoint could not be written; those before it are intact.
    """
    if keep < 1:
        raise ValueError(f"keep: {keep}, but it must be at least 1")
    wanted = directory
    directory = hosts.together(lambda: _writable(wanted))
    quiet_orbax()
    files.check_folder(directory)  # or Orbax would wait for a named pipe for ever
    writer = _Writer(directory, keep, also)

    def save(state: GANState, *, wait: bool = False) -> None:
        hosts.together(writer.finish)  # or one that failed would leave the others waiting in what follows
        hosts.together(lambda: writer.check(state))
        writer.begin(state)
        if wait:
            hosts.together(writer.finish)

    try:
        yield Checkpoints(save, lambda: restoring.saved_steps(directory), lambda: hosts.together(writer.finish))
    finally:
        try:
            writer.finish()
        finally:
            writer.close()


class _Writer:
    """Orbax's checkpointer, made anew after an error, since the old one would raise that error for ever."""

    def __init__(self, directory: Path, keep: int, also: Callable[[], Container[int]]) -> None:
        self._directory, self._keep, self._also = directory, keep, also
        self._last: int | None = None  # step of the last save that began
        self._pending: Any = None  # Orbax's answer to it; its thread and descriptors last until its result is asked for
        self._checkpointer = self._opened()

    def _opened(self) -> Any:
        policies = ocp.training.preservation_policies
        return ocp.training.Checkpointer(
            self._directory,
            context=_context(),
            # By default a save while another runs is skipped without a word, and nothing is ever deleted.
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(self._keep), _Also(self._also)]),
        )

    def check(self, state: GANState) -> None:
        """Refuses a step that is not after the last, and a save for which there is no room.

        Raises:
            ValueError, SaveError: each in one line.
        """
        step = int(state.step)
        if self._last is not None and step < self._last:
            raise ValueError(f"step: {step}, but {self._last} is saved already, and steps only go up")
        with self._writing(step):
            _check_room(self._directory, state)

    def begin(self, state: GANState) -> None:
        """Copies the state off the device and begins to write it."""
        step = int(state.step)
        first, self._last = self._last is None, step
        with self._writing(step):
            if first and _set_aside(self._directory, step, state):
                self._checkpointer.reload()
            if step not in restoring.saved_steps(self._directory):
                items, table = {"state": state, "generator": state.ema}, table_of(state)
                metadata = {"format": FORMAT, "leaves": table, "digest": digest_of([FORMAT, table])}
                self._pending = self._checkpointer.save_checkpointables_async(step, items, custom_metadata=metadata)

    def finish(self) -> None:
        """Waits until the last save is committed."""
        pending, self._pending = self._pending, None
        with self._writing(self._last):
            if pending is not None:
                pending.result()
            self._checkpointer.wait()

    def close(self) -> None:
        """Closes Orbax's checkpointer; failures have surfaced from `finish`, and Orbax raises them again."""
        try:
            self._checkpointer.close()
        except Exception as error:
            _log.debug("closing %s: %s", self._directory, error)

    @contextlib.contextmanager
    def _writing(self, step: int | None) -> Iterator[None]:
        """Turns what Orbax raises into one line, removes what was half written, and begins anew."""
        try:
            yield
        except CheckpointError:
            raise
        except Exception as error:
            failed.append(step)
            self.close()
            _clear(self._directory)
            self._pending, self._checkpointer = None, self._opened()
            raise SaveError(f"checkpoint {step} in {self._directory} was not written: {line_of(error)}") from error


# Steps of saves that failed. Orbax may leave threads behind that wait for a signal of such a save for twenty minutes, and
# Python joins them at its end: so a program that was asked to end ends itself (`os._exit`) where this is not empty.
failed: list[int | None] = []


def _context() -> ocp.Context:
    """Returns Orbax's options.

    Folders are made before a save returns: made in the background, one that cannot be made leaves threads that wait for it, and
    that Python waits for at its end, for twenty minutes. The limit is counted on the wall clock, so that a clock that jumps
    forward would fail a sound save; of several processes it is what ends the wait for one that died.
    """
    seconds = _FOR_EVER if jax.process_count() == 1 else 1_200
    return ocp.Context(async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False, timeout_secs=seconds))


_FOR_EVER = 10**9  # seconds


def _check_room(directory: Path, state: GANState) -> None:
    """Refuses to begin a save that the disk cannot hold: then nothing is half written, and no thread is left waiting.

    Raises:
        OSError: when bytes or files are lacking, or the folder cannot be written to.
    """
    if jax.process_index():
        return
    there = os.statvfs(directory)
    if there.f_bavail * there.f_frsize < bytes_of(state) or (there.f_files and there.f_favail < _FILES):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with tempfile.TemporaryDirectory(prefix=".room-", dir=directory):
        pass


_FILES = 64  # more than a checkpoint has files and folders


def bytes_of(state: GANState) -> int:
    """Returns the bytes of the arrays of one checkpoint, given a state or its shapes; the files take a few more."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((state, state.ema)))


def _set_aside(directory: Path, step: int, state: GANState) -> bool:
    """Renames checkpoints at `step` and later, unless that at `step` is the same state and sound; True if any were."""
    later = hosts.together(lambda: [other for other in restoring.saved_steps(directory) if other >= step])
    if step in later:
        with contextlib.suppress(ValueError):
            abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
            if table_of(restoring.load(directory, step, "state", "", abstract)) == table_of(state):
                later.remove(step)
    for other in later if jax.process_index() == 0 else []:
        aside = directory / f"{other}.superseded"
        shutil.rmtree(aside, ignore_errors=True)
        (directory / str(other)).rename(aside)
        _log.warning("checkpoint %d in %s: set aside as %s, training went on from before it", other, directory, aside.name)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("jaxgan: checkpoints set aside")
    return bool(later)


def _writable(directory: str | os.PathLike[str]) -> Path:
    directory = Path(directory).absolute()  # Orbax takes no other
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ValueError(f"directory: {directory}, but it cannot be written to ({error.strerror})") from error
    _clear(directory)
    return directory


def _clear(directory: Path) -> None:
    """Removes the remains of killed or failed saves, which may be what fills a full disk."""
    for left in [*directory.glob("*.orbax-checkpoint-tmp*"), *directory.glob(".room-*")] if jax.process_index() == 0 else []:
        shutil.rmtree(left, ignore_errors=True)
