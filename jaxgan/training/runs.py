"""Runs opened from their folders: their recipes, states and generators; `jaxgan.runs` for users of the library."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.core import conditions, sweep
from jaxgan.core.types import GAN, GANState, Units, Weights
from jaxgan.core.units import from_json
from jaxgan.recipes import record
from jaxgan.recipes.record import Allowed
from jaxgan.system import environment, files
from jaxgan.system.messages import FieldError
from jaxgan.training.checkpoint import restoring
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import Experiment
from jaxgan.training.run import Run, best_step, history, read_best
from jaxgan.training.sampler import generator_of, sampler
from jaxgan.weights.portable import Sampler, Samples

__all__ = ["Loaded", "Run", "best_step", "generators", "history", "load", "load_generator", "read", "restore"]

log = logging.getLogger("jaxgan")


class _Pair(NamedTuple):
    gan: GAN
    state: GANState


class Loaded(_Pair):
    """A GAN and its state, `gan, state = jaxgan.load(run)`; `jaxgan.load(run).sample(n=16)` shows what it makes."""

    _sampler: Callable[[], Sampler]

    def __repr__(self) -> str:
        """Returns counts instead of every number."""
        return f"Loaded({self.gan}, {self.state})"

    def sample(
        self,
        n: int | None = None,
        seed: int = 0,
        labels: Any = None,
        *,
        z: Any = None,
        truncation: float | None = None,
        condition: Any = None,
    ) -> Samples:
        """Draws from the averaged generator of this state, the first of several GANs; arguments as of `Run.sample`."""
        return self._sampler()(n, seed, labels, z, truncation, condition)


def _loaded(run: Run, gan: GAN, state: GANState, weights: Weights) -> Loaded:
    found = Loaded(gan, state)
    build_ = functools.partial(generator_of, run.recipe, run.shape, run.class_names)
    found._sampler = functools.cache(lambda: sampler(build_(), weights, shown=run.shown))
    return found


def read(path: str | Path, allowed: Allowed | None = None) -> Run:
    """Opens a run directory.

    Args:
        path: of the run.
        allowed: what its own code may do, where it has any.

    Raises:
        FileNotFoundError: when there is no run.
        FieldError: when its `recipe.json` cannot be understood, or its code is not at hand.
        UserCodeError: when its code raises.
    """
    found = record.read(path)
    recipe, files_ = record.recipe_of(found, allowed or Allowed())
    if files_:
        log.warning("%s: its code has changed since it was trained: %s", found.path, ", ".join(files_))
    shape = Shape(found.sample, found.classes, _condition(found))
    return Run(found.path, recipe, shape, found.class_names, found.counted_from, _units(found))


def _units(found: record.Record) -> Units | None:
    with _damage(found):
        return from_json(found.content["data"].get("units"))


def _condition(found: record.Record) -> conditions.Form:
    with _damage(found):
        return conditions.from_json(found.content["data"].get("condition"))


@contextlib.contextmanager
def _damage(found: record.Record) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise FieldError(
            "run", f"{found.path / record.FILE} is damaged or of another version", files.told(error), link=": "
        ) from error


@environment.fixed()
def load(
    path: str | Path,
    *,
    step: int | None = None,
    member: int | None = None,
    strict: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
) -> Loaded:
    """Loads a run, ready to sample or to go on training.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        member: of a run of several GANs, the one to take, as if it had been trained alone; None for all of them, side
            by side (`sweep.side_by_side`).
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        code: folder in which the run's own code is looked for first.
        trust_run_code: execute the copy of its code that the run carries.

    Returns:
        `(gan, state)`, which has a `sample(n=16, seed=0, labels=None)` as `Run` has.

    Raises:
        FileNotFoundError: when there is no run, or no checkpoint in it.
        CheckpointError: when no checkpoint can be read.
    """
    run = read(path, Allowed(None if code is None else Path(code), trust_run_code))
    experiment = run.experiment()
    state = restore(run, experiment, step=step, strict=strict)
    if member is None:
        return _loaded(run, experiment.gan, state, experiment.weights_apart(state.ema)[0])
    alone = experiment.member(member)
    state = sweep.member(state, member) if experiment.several else state
    return _loaded(run, alone.gan, state, state.ema)


def restore(run: Run, experiment: Experiment, *, step: int | None = None, best: bool = False, strict: bool = False) -> GANState:
    """Restores the state of a run's latest checkpoint, of one step, or of the one that `keep_best` keeps."""
    read = functools.partial(restoring.restore, run.checkpoints, experiment.abstract, strict=strict)
    return read_best(run, read) if best else read(step=step)


def generators(
    run: Run,
    experiment: Experiment,
    *,
    step: int | None = None,
    best: bool = False,
    averaged: bool = True,
    strict: bool = False,
) -> tuple[list[Weights], int]:
    """Loads the generators of all GANs of a run, in most runs one, reading the checkpoint once.

    Args:
        run: the run.
        experiment: of the run.
        step: which checkpoint; the latest when None.
        best: take the one that `keep_best` keeps.
        averaged: load the averaged generators rather than those in training.
        strict: refuse a damaged checkpoint rather than fall back to the one before.

    Returns:
        The weights of each member, which `experiment.one.sample` takes, and the step they are from.

    Raises:
        FileNotFoundError, CheckpointError: as `load`.
    """
    if averaged:
        read = functools.partial(restoring.restore_generator, run.checkpoints, experiment.abstract.ema, strict=strict)
        weights, found = read_best(run, read) if best else read(step=step)
    else:
        state = restore(run, experiment, step=step, best=best, strict=strict)
        weights, found = Weights(state.g.params, state.g.stats), int(state.step)
    return experiment.weights_apart(weights), found


def load_generator(
    path: str | Path, *, step: int | None = None, member: int = 0, strict: bool = False, allowed: Allowed | None = None
) -> tuple[Run, GAN, Weights]:
    """Loads the averaged generator of a run, and nothing else of its state.

    Args:
        path: the run directory.
        step: which checkpoint; the latest when None.
        member: of a run of several GANs, the one to take.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        allowed: what its own code may do, where it has any.

    Returns:
        `(run, gan, weights)`: `gan.sample(weights, key, labels)` draws from it.

    Raises:
        FileNotFoundError, CheckpointError: as `load`.
        FieldError: when there is no such member.
    """
    run = read(path, allowed)
    experiment = run.experiment()
    alone = experiment.member(member)
    every, _ = generators(run, experiment, step=step, strict=strict)
    return run, alone.gan, every[member]
