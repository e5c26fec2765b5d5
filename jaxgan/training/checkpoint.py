"""Saving and restoring `GANState` with Orbax, and noticing when what comes back is not what was saved.

A run's `checkpoints/` holds one folder per saved step. In it `state` is the whole state and `generator` the averaged
generator alone, so that sampling reads nothing else. Orbax does not notice flipped bits, so every array's checksum is
kept beside it and compared on the way back: a restored state is the saved one, bit for bit, or it is refused.
"""

import contextlib
import errno
import inspect
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp
from orbax.checkpoint._src.serialization import tensorstore_utils

from jaxgan.core.types import GANState, PyTree, Weights
from jaxgan.system import files, hosts
from jaxgan.system.messages import FieldError

_log = logging.getLogger("jaxgan")
FORMAT = 2  # of what is kept beside the arrays; 1, which named no format, is read too


class CheckpointError(ValueError):
    """A checkpoint is damaged, or could not be written; the message names step, folder and cause in one line."""


class SaveError(CheckpointError):
    """A checkpoint could not be written; those before it are intact, and a later save may succeed."""


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


def saved_steps(directory: str | os.PathLike[str]) -> list[int]:
    """The committed checkpoints of a folder, ascending; none when there is no such folder."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())


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
    _quiet_orbax()
    files.check_folder(directory)  # or Orbax would wait for a named pipe for ever
    writer = _Writer(directory, keep, also)

    def save(state: GANState, *, wait: bool = False) -> None:
        hosts.together(writer.finish)  # or one that failed would leave the others waiting in what follows
        hosts.together(lambda: writer.check(state))
        writer.begin(state)
        if wait:
            hosts.together(writer.finish)

    try:
        yield Checkpoints(save, lambda: saved_steps(directory), lambda: hosts.together(writer.finish))
    finally:
        try:
            writer.finish()
        finally:
            writer.close()


class _Writer:
    """Orbax's checkpointer, made anew after an error: it raises the same one for ever."""

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
            if step not in saved_steps(self._directory):
                items, table = {"state": state, "generator": state.ema}, _table(state)
                metadata = {"format": FORMAT, "leaves": table, "digest": _digest([FORMAT, table])}
                self._pending = self._checkpointer.save_checkpointables_async(step, items, custom_metadata=metadata)

    def finish(self) -> None:
        """Waits until the last save is committed."""
        pending, self._pending = self._pending, None
        with self._writing(self._last):
            if pending is not None:
                pending.result()
            self._checkpointer.wait()

    def close(self) -> None:
        """Closes Orbax's checkpointer; what failed has surfaced from `finish`, and Orbax raises it again."""
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
            raise SaveError(f"checkpoint {step} in {self._directory} was not written: {_line(error)}") from error


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


def restore(
    directory: str | os.PathLike[str],
    abstract: GANState,
    *,
    step: int | None = None,
    strict: bool = False,
    sharding: jax.sharding.Sharding | None = None,
) -> GANState:
    """Restores the latest good state; one that is damaged is named in a warning, and the one before it is used.

    Args:
        directory: the folder of checkpoints.
        abstract: shapes and dtypes of the state, `jax.eval_shape(gan.init, key)`; leaves may carry shardings.
        step: restore this one and no other; None for the latest.
        strict: refuse a damaged checkpoint instead of using the one before.
        sharding: of leaves that carry none; by default they go to the first local device.

    Returns:
        The state as it was saved, bit for bit, whatever the devices it was saved from.

    Raises:
        FileNotFoundError: when there is no such folder, no checkpoint or no such step in it.
        CheckpointError: when no checkpoint is good, or a damaged one is refused.
        ValueError: when the checkpoint is sound but of a newer format, or of another network or optimizer: names the first
            difference.
    """
    return _restore(directory, "state", "", abstract, step, strict, sharding)[0]


def restore_generator(
    directory: str | os.PathLike[str],
    abstract: Weights,
    *,
    step: int | None = None,
    strict: bool = False,
    sharding: jax.sharding.Sharding | None = None,
) -> tuple[Weights, int]:
    """Restores the averaged generator alone, as `restore` does the state, and says from which step it is.

    Args:
        directory: the folder of checkpoints.
        abstract: shapes and dtypes, `jax.eval_shape(gan.init, key).ema`.
        step: as in `restore`.
        strict: as in `restore`.
        sharding: as in `restore`.

    Returns:
        `(ema, step)`.

    Raises:
        FileNotFoundError, CheckpointError, ValueError: as `restore`.
    """
    return _restore(directory, "generator", "ema/", abstract, step, strict, sharding)


def bytes_of(state: GANState) -> int:
    """Returns the bytes of the arrays of one checkpoint, given a state or its shapes; those of files are some more."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((state, state.ema)))


def checksum(x: jax.Array) -> jax.Array:
    r"""One number that depends on every bit of an array and on where it is, not on how it is laid out on devices.

    `sum_i mix(w_i xor mix(i + 1)) mod 2^32` over the 32-bit words w, with a bijective `mix`: one changed word always
    shows, any other damage with probability 1 - 2^-32. Integers, so that the order of summation does not matter.

    Args:
        x: an array of any shape and dtype, or typed PRNG keys.

    Returns:
        Scalar uint32.

    References:
        Wellons 2018, Prospecting for Hash Functions: the mixing function lowbias32.
    """
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        x = jnp.stack([x.real, x.imag], -1)
    if x.dtype.itemsize == 8:
        x = lax.bitcast_convert_type(x, jnp.uint32)
    elif jnp.issubdtype(x.dtype, jnp.floating):
        x = lax.bitcast_convert_type(x, {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize])
    index, stride = jnp.ones((), jnp.uint32), 1
    for axis in reversed(range(x.ndim)):  # not reshape(-1), which would gather a sharded array
        index = index + lax.broadcasted_iota(jnp.uint32, x.shape, axis) * jnp.uint32(stride % 2**32)
        stride *= x.shape[axis]
    return _mix(x.astype(jnp.uint32) ^ _mix(index)).sum(dtype=jnp.uint32)


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


_checksum = jax.jit(checksum)  # one compilation per shape, and the optimizer's moments share their parameters' shapes


def _leaves(tree: PyTree) -> dict[str, Any]:
    """`{"g/params/Dense_0/kernel": leaf, ...}`"""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _kinds(tree: PyTree) -> dict[str, str]:
    """`{"g/params/Dense_0/kernel": "float32[64,128]", ...}`"""
    return {name: f"{x.dtype}[{','.join(map(str, x.shape))}]" for name, x in _leaves(tree).items()}


def _table(tree: PyTree) -> dict[str, list[Any]]:
    """Returns what is kept beside the arrays: `{name: [kind, checksum], ...}`."""
    leaves = _leaves(tree)
    if any(not leaf.sharding.is_fully_replicated for leaf in leaves.values()):
        # One by one: virtual CPU devices that wait for each other in several sums at once may wait for ever.
        checksums = {name: jax.device_get(_checksum(leaf)) for name, leaf in leaves.items()}
    else:
        checksums = jax.device_get(jax.tree.map(_checksum, leaves))  # all are under way before the first is awaited
    return {name: [kind, int(checksums[name])] for name, kind in _kinds(tree).items()}


def _digest(kept: Any) -> int:
    """Returns the digest of format and table: without it a flipped bit would look like a newer version or another network."""
    return zlib.crc32(json.dumps(kept, sort_keys=True).encode())


def _restore(
    directory: str | os.PathLike[str],
    item: str,
    prefix: str,
    abstract: PyTree,
    step: int | None,
    strict: bool,
    sharding: jax.sharding.Sharding | None,
) -> tuple[Any, int]:
    _quiet_orbax()
    directory = Path(directory).absolute()
    steps = saved_steps(directory)
    if not steps:
        raise FileNotFoundError(f"{directory}: no checkpoint there")
    if step is not None and step not in steps:
        raise FileNotFoundError(f"step: {step}, but {directory} holds {', '.join(map(str, steps))}")
    default = sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or default), abstract)
    errors, looks = dict[int, str](), 0
    while looks < _LOOKS:
        candidate = next((each for each in steps[::-1] if each not in errors), None) if step is None else step
        if candidate is None:
            raise CheckpointError(f"no good checkpoint in {directory}: {'; '.join(errors.values())}")
        try:
            return _load(directory, candidate, item, prefix, abstract), candidate
        except CheckpointError as error:
            if _is_going(directory, candidate, steps[-1], wait=step is not None):
                looks, steps = looks + 1, saved_steps(directory)
                if step is not None or not steps:
                    holds = ", ".join(map(str, steps)) or "none"
                    raise FileNotFoundError(f"step: {candidate}, but {directory} holds {holds} by now") from error
                continue
            if strict or step is not None:
                raise
            _log.warning("%s; trying the one before", error)
            errors[candidate] = str(error)
    raise CheckpointError(f"checkpoints in {directory} go before they can be read: keep more of them (--keep-checkpoints)")


_LOOKS = 100


def _is_going(directory: Path, step: int, latest: int, *, wait: bool) -> bool:
    """Tells whether a checkpoint that cannot be read was being removed by a training beside.

    Training removes one only once a newer one is there, and a folder does not go at one blow.

    Args:
        directory: of checkpoints.
        step: of the one that cannot be read.
        latest: of those that were there before it was read.
        wait: no other will do, so see whether it goes, for a second.
    """
    if jax.process_count() > 1:  # they train together, and nobody else does
        return False
    deadline = time.monotonic() + 1.0
    while True:
        now = saved_steps(directory)
        if step not in now or (not wait and now[-1] > latest):
            return True
        if not wait or now[-1] == step or time.monotonic() > deadline:
            return False
        time.sleep(0.02)  # between two looks at a folder


def _load(directory: Path, step: int, item: str, prefix: str, abstract: PyTree) -> PyTree:
    where, path = f"checkpoint {step} in {directory}", directory / str(step)

    def table() -> dict[str, list[Any]]:
        files.check_folder(path)
        # Not by Orbax's own reader, which opens every item's arrays as well, damaged or not.
        metadata = files.read_json(path / "_CHECKPOINT_METADATA")["custom_metadata"]
        format_, leaves = metadata.get("format", 1), metadata["leaves"]
        if _digest(leaves if format_ == 1 else [format_, leaves]) != metadata["digest"]:
            raise ValueError("its table of checksums has changed")
        if format_ not in (1, FORMAT):
            newer.append(format_)
            return {}
        return {name.removeprefix(prefix): row for name, row in metadata["leaves"].items() if name.startswith(prefix)}

    newer: list[Any] = []
    saved = _read(where, table)
    if newer:
        allowed = f"this version of jaxgan reads 1 to {FORMAT}; a newer one wrote {where}"
        raise FieldError("format", repr(newer[0])[:40], allowed)
    _check_same(where, {name: kind for name, (kind, _) in saved.items()}, _kinds(abstract))
    tree = _read(where, lambda: ocp.load_checkpointables(path, {item: abstract})[item])
    found = _table(tree)
    damaged = [name for name in saved if found.get(name) != saved[name]]
    if damaged:
        raise CheckpointError(f"{where} is damaged: {len(damaged)} of {len(saved)} arrays differ, the first is {damaged[0]}")
    return tree


def _read(where: str, read: Callable[[], Any]) -> Any:
    def attempt() -> Any:
        try:
            return read()
        except Exception as error:  # Orbax raises whatever its parts do: KeyError, JSONDecodeError, bare Exception
            raise CheckpointError(f"{where} is damaged: {_line(error)}") from error

    try:
        return hosts.together(attempt)
    except hosts.Elsewhere as error:  # of several processes each reads its part
        raise CheckpointError(f"{where} is damaged: another process could not read it") from error


def _check_same(where: str, saved: dict[str, str], wanted: dict[str, str]) -> None:
    for name in [*wanted, *saved]:
        if saved.get(name) != wanted.get(name):
            there, here = saved.get(name, "nothing"), wanted.get(name, "nothing")
            raise ValueError(f"{where} is of another network or optimizer: {name} is {there} there, {here} here")


def _set_aside(directory: Path, step: int, state: GANState) -> bool:
    """Renames checkpoints at `step` and later, unless that at `step` is the same state and sound; were there any?"""
    later = hosts.together(lambda: [other for other in saved_steps(directory) if other >= step])
    if step in later:
        with contextlib.suppress(ValueError):
            abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
            if _table(_load(directory, step, "state", "", abstract)) == _table(state):
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
    """Removes what saves that were killed or failed left; on a full disk that is what fills it."""
    for left in [*directory.glob("*.orbax-checkpoint-tmp*"), *directory.glob(".room-*")] if jax.process_index() == 0 else []:
        shutil.rmtree(left, ignore_errors=True)


def _line(error: BaseException) -> str:
    """Returns what went wrong in the first place, in one short line: Orbax wraps it in messages of many."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{' ...' if len(text) > 200 else ''}"


def _quiet_orbax() -> None:
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
