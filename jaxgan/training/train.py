"""Trains a run to its end: from a recipe, a folder and options, through the loop."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxgan import recipes
from jaxgan.core import sweep
from jaxgan.core.types import GANState
from jaxgan.evaluation import verdict
from jaxgan.recipes import Recipe, sources
from jaxgan.recipes.record import Allowed
from jaxgan.recipes.table import MIXTURES
from jaxgan.system import environment, files, hosts
from jaxgan.system.messages import FieldError, as_tuple, did_you_mean, kind_of, shown, tell
from jaxgan.training import (
    bar,
    endings,
    going_on,
    initial,
    loop,
    monitor,
    recorded,
    records,
    rollback,
    saving,
    starting,
    written,
)
from jaxgan.training.callbacks import Callback, Writer
from jaxgan.training.checkpoint import restoring
from jaxgan.training.dataset import given, open_data
from jaxgan.training.endings import Diverged, Interrupted
from jaxgan.training.experiment import Experiment, build, parameters
from jaxgan.training.pause import pause
from jaxgan.training.records import Diary
from jaxgan.training.run import Run, best_of, history

log = logging.getLogger("jaxgan")


@environment.fixed()
def train(
    recipe: Recipe | str | Path,
    path: str | Path | None = None,
    *,
    dataset: Any = None,
    writers: Sequence[Writer] = (),
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
    change: bool = False,
    accept_code: bool = False,
    strict: bool = False,
    tensorboard: bool = False,
    code: str | Path | None = None,
    trust_run_code: bool = False,
    **fields: Any,
) -> Run:
    """Trains a recipe in a run directory, from its last checkpoint if it has one.

    Several processes that joined (`hosts.join`) all call this with the same arguments, and train one run in a directory that
    all of them see. Each feeds its own devices, all save together, and process 0 draws, measures and writes the rest.

    Args:
        recipe: what to train: a name, a file `my.py` or `my.py:name`, a run, or a `Recipe`.
        path: the run directory, see `starting.start`; by default `runs/NAME`, or the run that `recipe` names.
        dataset: data given here instead of those of the recipe, see `data.as_dataset`.
        writers: called with each row of metrics, after those of the recipe's file.
        callbacks: called at their intervals, after those of the recipe's file.
        overwrite: remove what is there, and start anew.
        change: go on with a recipe that differs from the run's, and record what changed at which step.
        accept_code: go on though the user's code has changed.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        tensorboard: also write `tensorboard/`.
        code: folder in which a run's own code is looked for first.
        trust_run_code: execute the copy of its code that a run carries.
        **fields: other values for fields of the recipe, such as `steps=2_000` or `generator=MLP(width=64)`.

    Returns:
        The run, trained for `recipe.steps` steps.

    Raises:
        ValueError, FileNotFoundError: when an argument is not allowed, or something is not there; nothing is written then.
        UserCodeError: when the user's code raises; what was trained is saved.
        CheckpointError: when `strict` and the latest checkpoint is damaged, or none can be read.
        Diverged: when a loss or gradient is not finite, and `on_nan` stops then; the last good checkpoint stays.
        Stopped: on a verdict that the recipe stops on, other than converged; the state is saved.
        Interrupted: after SIGTERM, SIGHUP or Ctrl-C; the state is saved.
        SaveError: when the last checkpoint cannot be written, or three in succession; earlier ones are intact.
        Elsewhere: when another process raised one of these.
    """
    flags = {"overwrite": overwrite, "change": change, "accept_code": accept_code, "strict": strict, "tensorboard": tensorboard}
    for name, flag in (flags | {"trust_run_code": trust_run_code}).items():
        if type(flag) is not bool:
            raise FieldError(name, shown(flag), "it must be True or False")
    writers, callbacks = as_tuple("writers", writers), as_tuple("callbacks", callbacks)
    if not isinstance(recipe, Recipe):
        found = sources.find(recipe, Allowed(None if code is None else Path(code), trust_run_code, accept_code))
        recipe, writers, callbacks = found.recipe, (*found.writers, *writers), (*found.callbacks, *callbacks)
        path = (found.run or Path("runs", found.name)) if path is None else path
    recipe = _with(recipe, fields)
    if path is None:
        raise FieldError("run", None, "a recipe given as a value needs the folder of its run")
    if not isinstance(path, (str, os.PathLike)):
        raise FieldError("run", shown(path), "it must be the path of a folder")
    path = files.home_expanded(path, "run")
    recipe = recipe if overwrite or change else rollback.replayed(path, recipe)
    _check_hooks(writers, callbacks)
    wish, target, hooks = going_on.Wish(overwrite, change, accept_code), path, (writers, callbacks)
    while True:
        try:
            return _trained(recipe, target, dataset, wish, tensorboard, strict, *hooks)
        except Diverged as error:
            made = rollback.count(target)
            if recipe.on_nan == "stop" or made >= recipe.rollbacks:
                raise
            log.warning("%s; rollback %d of %d", error, made + 1, recipe.rollbacks)
            recipe = rollback.after(recipe)
            wish = going_on.Wish(change=True, accept_code=accept_code, rollback=True)


def _with(recipe: Recipe, fields: dict[str, Any]) -> Recipe:
    """Returns a recipe with other values for some of its fields.

    Raises:
        FieldError: for a field that no recipe has, or a value that is not allowed.
    """
    known = [each.name for each in dataclasses.fields(Recipe)]
    for name in fields:
        if name not in known:
            takes = f"jaxgan.train and a recipe have none of that name{did_you_mean(name, known)}"
            raise FieldError(name, "no such argument", takes, link=": ")
    return recipes.check(dataclasses.replace(recipe, **fields)) if fields else recipe


def _trained(
    recipe: Recipe,
    target: str | Path,
    dataset: Any,
    wish: going_on.Wish,
    tensorboard: bool,
    strict: bool,
    writers: Sequence[Writer],
    callbacks: Sequence[Callback],
) -> Run:
    """Trains a recipe in a run directory to its end, or until something stops it."""
    experiment, prepared, init = hosts.together(lambda: _prepared(recipe, target, dataset, wish, tensorboard))
    examiner = hosts.on_main_process(lambda: monitor.examiner(experiment))
    with contextlib.ExitStack() as holding:
        hosts.on_main_process(lambda: starting.start(target, experiment, wish, holding))
        run = hosts.together(lambda: starting.join(target, experiment))
        written = _writers(run, tensorboard, writers) if hosts.is_first() else []
        _train(run, experiment, prepared, init, wish, strict, Hooks(examiner, written, list(callbacks)))
    for line in outcome(run, experiment):
        log.info("%s", line)
    return run


class Hooks(NamedTuple):
    """Observers of a training: what measures it, and the user's writers and callbacks."""

    examiner: monitor.Examiner | None
    writers: list[Writer]
    callbacks: list[Callback]


def _train(
    run: Run,
    experiment: Experiment,
    prepared: loop.Prepared,
    init: initial.Found | None,
    wish: going_on.Wish,
    strict: bool,
    hooks: Hooks,
) -> None:
    """Trains a run that is this process's alone, from its last checkpoint to its end, and draws the whole of it."""
    recipe, best, change = experiment.recipe, list[int](), wish.change
    with saving.opened(run, experiment.abstract, lambda: best) as saver:
        state, start = _started(run, experiment, prepared, init, strict or change)
        if init is not None and not start:
            saver.save(state, must=True)  # from here on the run no longer needs the weights it began with
        if change:
            _tell_changes(hosts.on_main_process(lambda: going_on.changed(run, experiment, start, wish)), start)
        hosts.on_main_process(lambda: going_on.forget_after(run, start))
        rows = history(run, until=start)
        found_best = best_of(rows, recipe, saver.steps())
        best += [] if found_best is None else [found_best]
        _announce(run, experiment, start)
        if start < recipe.steps:
            watch = hosts.on_main_process(lambda: monitor.monitor(experiment))
            diary = Diary(run, experiment, watch, hooks.examiner, rows, hooks.writers, hooks.callbacks, best, set())
            if not rows:
                seen = records.seen_by_all(state, recipe)
                hosts.on_main_process(lambda: records.draw(diary, seen))
            _loop(prepared, state, diary, saver)
    hosts.on_main_process(lambda: records.finish(run, experiment.loss))


def _loop(prepared: loop.Prepared, state: GANState, diary: Diary, saver: saving.Saver) -> None:
    """Trains to the end, or until something stops it."""
    experiment, rows, start = diary.experiment, diary.rows, int(state.step)

    def also(step: int) -> int:
        return min((each.next(step, experiment.images) for each in diary.callbacks), default=experiment.recipe.steps)

    with bar.shown(start, experiment.recipe.steps) as progress, hosts.signals() as stop:
        seconds, made = rows[-1].get("seconds", 0.0) if rows else 0.0, [start]

        def update(count: int) -> None:
            made[0] += count
            progress.update(count)

        stop.lost = lambda: endings.lost(made[0], restoring.saved_steps(diary.run.checkpoints))
        options: dict[str, Any] = {"also": also, "seconds": seconds, "stop": stop, "progress": update}
        before = start
        try:
            for event in loop.steps(prepared, state, experiment, leaving=stop.leaving, **options):
                if pause(event, before, diary, saver, progress, stop):
                    break
                before = event.step
        except hosts.Leave:  # while the first step was compiled
            raise Interrupted(stop.came[0], start, saved=False) from None


def _prepared(
    recipe: Recipe, path: str | Path, dataset: Any, wish: going_on.Wish, tensorboard: bool
) -> tuple[Experiment, loop.Prepared, initial.Found | None]:
    """Prepares everything that may be refused, before a run is written."""
    if tensorboard and find_spec("tensorboardX") is None:
        raise FieldError("tensorboard", True, "it is not installed: pip install 'jaxgan[tensorboard]'")
    if dataset is not None:
        recipe, found = given(recipe, dataset)
        recipes.check(recipe)
    else:
        found = open_data(recipes.check(recipe))
    rollback.check(recipe)
    begun = (0, 0) if wish.overwrite else going_on.counted_from(path, recipe)
    experiment = build(recipe, dataset=found, counted_from=begun)
    if recipe.keep_best in ("modes", "high_quality", "reverse_kl") and experiment.density is None:
        raise FieldError("keep_best", recipe.keep_best, f"it is measured on {', '.join(MIXTURES)} only")
    init = None
    if recipe.init_from and (wish.overwrite or not restoring.saved_steps(files.home_expanded(path) / "checkpoints")):
        init = initial.find(recipe.init_from, experiment)
    return experiment, loop.prepare(experiment), init


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _check_hooks(writers: Sequence[Writer], callbacks: Sequence[Callback]) -> None:
    for name, given_, fine in (("writers", writers, _is_function), ("callbacks", callbacks, lambda x: isinstance(x, Callback))):
        for each in given_:
            if not fine(each):
                allowed = "a writer is a function of a row" if name == "writers" else "it must be a jaxgan.Callback"
                raise FieldError(name, kind_of(each), allowed)


def _writers(run: Run, tensorboard: bool, own: Sequence[Writer]) -> list[Writer]:
    return [written.jsonl_writer(run), *([written.tensorboard_writer(run)] if tensorboard else []), *own]


def _tell_changes(lines: list[str] | None, step: int) -> None:
    for line in lines or ():
        log.info("from step %d on: %s", step, line)


def _started(
    run: Run, experiment: Experiment, prepared: loop.Prepared, init: initial.Found | None, strict: bool
) -> tuple[GANState, int]:
    """Returns the state to go on from, and its step."""
    if restoring.saved_steps(run.checkpoints):
        state = restoring.restore(run.checkpoints, prepared.abstract, strict=strict)
    else:
        placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
        state = jax.jit(prepared.gan.init, out_shardings=placed)(experiment.key)
        if init is not None:
            state = initial.apply(init, state)
    return state, int(state.step)


def outcome(run: Run, experiment: Experiment) -> list[str]:
    """Returns mean and standard error of the last figures of a run of several GANs, for each gamma of a sweep; [] for one."""
    recipe, rows = run.recipe, history(run)
    if not experiment.several or not rows or "members" not in rows[-1]:
        return []
    lines, members = [], rows[-1]["members"]
    for i, gamma in enumerate(recipe.penalty.gammas or (None,)):
        part = slice(i * recipe.seeds, (i + 1) * recipe.seeds)
        figures = []
        for name in dict.fromkeys(("d_loss", *verdict.Figures._fields, *recipes.LOOKED_AT[2:], *recipes.figures(recipe))):
            there = [value for value in members.get(name, [])[part] if value is not None]
            mean, error = sweep.summary(there)
            if mean is not None:
                figures.append(f"{name} {mean:.4g}" + (f" +- {error:.2g}" if error is not None else ""))
        words = [word or "too early" for word in members.get("verdict", [])[part]]
        counted = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
        lines.append(", ".join([*([] if gamma is None else [f"gamma {gamma:g}"]), *figures, *counted]))
    return lines


def _announce(run: Run, experiment: Experiment, step: int) -> None:
    recipe, device, count = run.recipe, jax.devices()[0], len(experiment.members)
    g, d = (number // count for number in parameters(experiment.abstract))
    if step >= recipe.steps:
        more = f"{step:,} steps, more than the {recipe.steps:,} asked for"
        made = more if step > recipe.steps else f"{step:,} of {recipe.steps:,} steps"
        tell(f"{run.path} is finished: {made}; --steps above {step:,} resumes it (in Python steps=..)")
        return
    tell(recorded.told(experiment))
    many = f"{count} GANs side by side, each with " if count > 1 else ""
    tell(f"{run.path}: {many}G {g:,}, D {d:,} parameters")
    going_on = f"; going on from step {step:,}" if step else ""
    kind = "images" if len(experiment.shape.sample) == 3 else "samples"
    where = f"{jax.device_count()} {device.device_kind}{going_on}"
    tell(f"{recipe.steps:,} steps of {recipe.batch_size} {kind} on {where}")
