"""States read from a folder of checkpoints: the steps it holds, the latest good one, and those refused as damaged."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxgan.core.types import GANState, PyTree, Weights
from jaxgan.system import files, hosts
from jaxgan.system.messages import FieldError, shown
from jaxgan.training.checkpoint.checksums import FORMAT, digest_of, kinds_of, table_of
from jaxgan.training.checkpoint.errors import CheckpointError, line_of
from jaxgan.training.checkpoint.quiet import quiet_orbax

_log = logging.getLogger("jaxgan")


def saved_steps(directory: str | os.PathLike[str]) -> list[int]:
    """The committed checkpoints of a folder, ascending; none when there is no such folder."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())


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
    """Restores the averaged generator alone, as `restore` does the state, with the step it is from.

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


def _restore(
    directory: str | os.PathLike[str],
    item: str,
    prefix: str,
    abstract: PyTree,
    step: int | None,
    strict: bool,
    sharding: jax.sharding.Sharding | None,
) -> tuple[Any, int]:
    quiet_orbax()
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
            return load(directory, candidate, item, prefix, abstract), candidate
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


def load(directory: Path, step: int, item: str, prefix: str, abstract: PyTree) -> PyTree:
    """Returns one item of a checkpoint, its arrays compared with their checksums.

    Raises:
        CheckpointError, ValueError: as `restore`.
    """
    where, path = f"checkpoint {step} in {directory}", directory / str(step)

    def table() -> dict[str, list[Any]]:
        files.check_folder(path)
        # Not by Orbax's own reader, which opens every item's arrays as well, damaged or not.
        metadata = files.read_json(path / "_CHECKPOINT_METADATA")["custom_metadata"]
        format_, leaves = metadata.get("format", 1), metadata["leaves"]
        if digest_of(leaves if format_ == 1 else [format_, leaves]) != metadata["digest"]:
            raise ValueError("its table of checksums has changed")
        if format_ not in (1, FORMAT):
            newer.append(format_)
            return {}
        return {name.removeprefix(prefix): row for name, row in metadata["leaves"].items() if name.startswith(prefix)}

    newer: list[Any] = []
    saved = _read(where, table)
    if newer:
        allowed = f"this version of jaxgan reads 1 to {FORMAT}; a newer one wrote {where}"
        raise FieldError("format", shown(newer[0]), allowed)
    _check_same(where, {name: kind for name, (kind, _) in saved.items()}, kinds_of(abstract))
    tree = _read(where, lambda: ocp.load_checkpointables(path, {item: abstract})[item])
    found = table_of(tree)
    damaged = [name for name in saved if found.get(name) != saved[name]]
    if damaged:
        raise CheckpointError(f"{where} is damaged: {len(damaged)} of {len(saved)} arrays differ, the first is {damaged[0]}")
    return tree


def _read(where: str, read: Callable[[], Any]) -> Any:
    def attempt() -> Any:
        try:
            return read()
        except Exception as error:  # Orbax raises whatever its parts do: KeyError, JSONDecodeError, bare Exception
            raise CheckpointError(f"{where} is damaged: {line_of(error)}") from error

    try:
        return hosts.together(attempt)
    except hosts.Elsewhere as error:  # of several processes each reads its part
        raise CheckpointError(f"{where} is damaged: another process could not read it") from error


def _check_same(where: str, saved: dict[str, str], wanted: dict[str, str]) -> None:
    for name in [*wanted, *saved]:
        if saved.get(name) != wanted.get(name):
            there, here = saved.get(name, "nothing"), wanted.get(name, "nothing")
            raise ValueError(f"{where} is of another network or optimizer: {name} is {there} there, {here} here")
