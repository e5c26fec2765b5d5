"""Trains a run: what happens at each pause of the loop, and everything it leaves behind."""

import contextlib
import functools
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast

import jax
import numpy as np
from tqdm import tqdm

from jaxgan import pictures, recipes
from jaxgan.core import sweep
from jaxgan.core.types import GANState
from jaxgan.evaluation import verdict
from jaxgan.evaluation.settings import better_of
from jaxgan.recipes import Recipe, sources
from jaxgan.recipes.record import Allowed
from jaxgan.recipes.table import MIXTURES
from jaxgan.system import devices, environment, files, hosts
from jaxgan.system.messages import FieldError, Unfailing, say
from jaxgan.training import checkpoint, finite, initial, loop, monitor, recorded, rollback, runs, saving
from jaxgan.training.callbacks import Callback, Moment, Writer
from jaxgan.training.experiment import Experiment, build, given, open_data, own_metrics

log = logging.getLogger("jaxgan")


class Diverged(RuntimeError):
    """Training came to a value that is not finite."""


class Stopped(RuntimeError):
    """A verdict that `stop_on` names was reached; the state was saved."""


class Interrupted(RuntimeError):
    """A signal stopped training; the state was saved, where there was anything new."""

    def __init__(self, number: int, step: int, *, saved: bool = True) -> None:
        done = "and saved" if saved else "before another was made"
        super().__init__(f"stopped at step {step} {done}; the same command goes on")
        self.status = 128 + number


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
) -> runs.Run:
    """Trains a recipe in a run directory, from its last checkpoint if it has one.

    Several processes that joined (`hosts.join`) all call it with the same arguments, and train one run, in a directory that
    all of them see: each feeds its own devices, all save together, and process 0 draws, measures and writes the rest.

    Args:
        recipe: what to train: a name, a file `my.py` or `my.py:name`, a run, or a `Recipe`.
        path: the run directory, see `runs.start`; by default `runs/NAME`, or the run that `recipe` names.
        dataset: data given here instead of those of the recipe, see `data.as_dataset`.
        writers: called with each row of metrics, after those of the recipe's file.
        callbacks: called now and then, after those of the recipe's file.
        overwrite: start anew.
        change: go on with a recipe that differs from the run's, and record what changed at which step.
        accept_code: go on with code of the user's that has changed.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        tensorboard: also write `tensorboard/`.
        code: folder in which a run's own code is looked for first.
        trust_run_code: execute the copy of its code that a run carries.

    Returns:
        The run, trained for `recipe.steps` steps.

    Raises:
        ValueError, FileNotFoundError: when something asked for cannot be; nothing is written then.
        UserCodeError: when code of the user's raises; what was trained is saved.
        CheckpointError: when `strict` and the latest checkpoint is damaged, or none can be read.
        Diverged: when a loss or gradient is not finite, and `on_nan` stops then; the last good checkpoint stays.
        Stopped: on a verdict that the recipe stops on, other than converged; the state is saved.
        Interrupted: after SIGTERM, SIGHUP or Ctrl-C; the state is saved.
        SaveError: when a checkpoint cannot be written at the end, or three times in turn; those before are intact.
        Elsewhere: where another process raised one of these.
    """
    if not isinstance(recipe, Recipe):
        found = sources.find(recipe, Allowed(None if code is None else Path(code), trust_run_code, accept_code))
        recipe, writers, callbacks = found.recipe, (*found.writers, *writers), (*found.callbacks, *callbacks)
        path = path or found.run or Path("runs", found.name)
    if path is None:
        raise FieldError("run", None, "a recipe given as a value needs the folder of its run")
    recipe = recipe if overwrite or change else rollback.replayed(Path(path).expanduser(), recipe)
    _check_hooks(writers, callbacks)
    wish, target, hooks = runs.Wish(overwrite, change, accept_code), path, (writers, callbacks)
    while True:
        try:
            return _trained(recipe, target, dataset, wish, tensorboard, strict, *hooks)
        except Diverged as error:
            made = rollback.count(Path(target).expanduser())
            if recipe.on_nan == "stop" or made >= recipe.rollbacks:
                raise
            log.warning("%s; rollback %d of %d", error, made + 1, recipe.rollbacks)
            recipe = rollback.after(recipe)
            wish = runs.Wish(change=True, accept_code=accept_code, rollback=True)


def _trained(
    recipe: Recipe,
    target: str | Path,
    dataset: Any,
    wish: runs.Wish,
    tensorboard: bool,
    strict: bool,
    writers: Sequence[Writer],
    callbacks: Sequence[Callback],
) -> runs.Run:
    """Trains a recipe in a run directory to its end, or until something stops it."""
    experiment, prepared, init = hosts.together(lambda: _prepared(recipe, target, dataset, wish, tensorboard))
    examiner = hosts.on_main_process(lambda: monitor.examiner(experiment))
    with contextlib.ExitStack() as holding:
        hosts.on_main_process(lambda: runs.start(target, experiment, wish, holding))
        run = hosts.together(lambda: runs.join(target, experiment))
        written = _writers(run, tensorboard, writers) if hosts.is_first() else []
        _train(run, experiment, prepared, init, wish, strict, Hooks(examiner, written, list(callbacks)))
    for line in outcome(run, experiment):
        log.info("%s", line)
    return run


class Hooks(NamedTuple):
    """Everything that looks at a training besides the program itself."""

    examiner: monitor.Examiner | None
    writers: list[Writer]
    callbacks: list[Callback]


def _train(
    run: runs.Run,
    experiment: Experiment,
    prepared: loop.Prepared,
    init: initial.Found | None,
    wish: runs.Wish,
    strict: bool,
    hooks: Hooks,
) -> None:
    """Trains a run that is this process's alone, from its last checkpoint to its end, and draws the whole of it."""
    recipe, best, change = experiment.recipe, list[int](), wish.change
    with saving.opened(run, experiment.abstract, lambda: best) as saver:
        state, start = _started(run, experiment, prepared, init, strict or change)
        if init is not None and not start:
            saver.save(state, must=True)  # from here on the run needs the weights it began with no more
        if change:
            _tell_changes(hosts.on_main_process(lambda: runs.changed(run, experiment, start, wish)), start)
        hosts.on_main_process(lambda: runs.forget_after(run, start))
        rows = runs.history(run, until=start)
        found_best = _best(rows, recipe)
        best += [] if found_best is None else [found_best]
        _announce(run, experiment, start)
        if start < recipe.steps:
            watch = hosts.on_main_process(lambda: monitor.monitor(experiment))
            diary = Diary(run, experiment, watch, hooks.examiner, rows, hooks.writers, hooks.callbacks, best)
            if not rows:
                seen = _seen(state, recipe)
                hosts.on_main_process(lambda: _draw(diary, seen))
            _loop(prepared, state, diary, saver)
    hosts.on_main_process(lambda: _finish(run, experiment.loss.equilibrium))


def _loop(prepared: loop.Prepared, state: GANState, diary: "Diary", saver: saving.Saver) -> None:
    """Trains to the end, or until something stops it."""
    experiment, rows, start = diary.experiment, diary.rows, int(state.step)

    def also(step: int) -> int:
        return min((each.next(step, experiment.images) for each in diary.callbacks), default=experiment.recipe.steps)

    with _progress(start, experiment.recipe.steps) as progress, hosts.signals() as stop:
        seconds, made = rows[-1].get("seconds", 0.0) if rows else 0.0, [start]

        def update(count: int) -> None:
            made[0] += count
            progress.update(count)

        stop.lost = lambda: _lost(made[0], checkpoint.saved_steps(diary.run.checkpoints))
        options: dict[str, Any] = {"also": also, "seconds": seconds, "stop": stop, "progress": update}
        before = start
        try:
            for event in loop.steps(prepared, state, experiment, leaving=stop.leaving, **options):
                if _record(event, before, diary, saver, progress, stop):
                    break
                before = event.step
        except hosts.Leave:  # while the first step was compiled
            raise Interrupted(stop.came[0], start, saved=False) from None


def _prepared(
    recipe: Recipe, path: str | Path, dataset: Any, wish: runs.Wish, tensorboard: bool
) -> tuple[Experiment, loop.Prepared, initial.Found | None]:
    """Returns everything that may be refused before a run is written."""
    if tensorboard and find_spec("tensorboardX") is None:
        raise FieldError("tensorboard", True, "it is not installed: pip install 'jaxgan[tensorboard]'")
    if dataset is not None:
        recipe, found = given(recipe, dataset)
        recipes.check(recipe)
    else:
        found = open_data(recipes.check(recipe))
    rollback.check(recipe)
    begun = (0, 0) if wish.overwrite else runs.counted_from(path, recipe)
    experiment = build(recipe, dataset=found, counted_from=begun)
    if recipe.keep_best in ("modes", "high_quality", "reverse_kl") and experiment.density is None:
        raise FieldError("keep_best", recipe.keep_best, f"it is measured on {', '.join(MIXTURES)} only")
    init = None
    if recipe.init_from and (wish.overwrite or not checkpoint.saved_steps(files.home_expanded(path) / "checkpoints")):
        init = initial.find(recipe.init_from, experiment)
    return experiment, loop.prepare(experiment), init


def _check_hooks(writers: Sequence[Writer], callbacks: Sequence[Callback]) -> None:
    for name, given_, fine in (("writers", writers, callable), ("callbacks", callbacks, lambda x: isinstance(x, Callback))):
        if not isinstance(given_, Sequence):
            raise FieldError(name, f"a {type(given_).__name__}", "they must be a list or a tuple")
        for each in given_:
            if not fine(each):
                allowed = "a writer is a function of a row" if name == "writers" else "it must be a jaxgan.Callback"
                raise FieldError(name, f"a {type(each).__name__}", allowed)


def _writers(run: runs.Run, tensorboard: bool, own: Sequence[Writer]) -> list[Writer]:
    return [runs.jsonl_writer(run), *([runs.tensorboard_writer(run)] if tensorboard else []), *own]


def _tell_changes(lines: list[str] | None, step: int) -> None:
    for line in lines or ():
        log.info("from step %d on: %s", step, line)


def _started(
    run: runs.Run, experiment: Experiment, prepared: loop.Prepared, init: initial.Found | None, strict: bool
) -> tuple[GANState, int]:
    """Returns the state to go on from, and its step."""
    if checkpoint.saved_steps(run.checkpoints):
        state = checkpoint.restore(run.checkpoints, prepared.abstract, strict=strict)
    else:
        placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
        state = jax.jit(prepared.gan.init, out_shardings=placed)(experiment.key)
        if init is not None:
            state = initial.apply(init, state)
    return state, int(state.step)


def outcome(run: runs.Run, experiment: Experiment) -> list[str]:
    """Returns mean and standard error of the last figures of a run of several GANs, for each weight of a sweep; [] of one."""
    recipe, rows = run.recipe, runs.history(run)
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


class Diary(NamedTuple):
    """Records of a training; in processes other than the first only the rows, without figures, and the best step."""

    run: runs.Run
    experiment: Experiment
    watch: monitor.Monitor | None
    examiner: monitor.Examiner | None
    rows: list[dict[str, Any]]  # of metrics, those of the run so far
    writers: list[Writer]
    callbacks: list[Callback]
    best: list[int]  # the step whose checkpoint is kept besides the latest, where there is one


class Decision(NamedTuple):
    """The decisions of process 0 about an event; numbers, so that it can tell the others."""

    diverged: int
    ending: int  # by a verdict to stop on
    good: int  # which is that it has converged
    best: int  # step of the best state by `keep_best`; -1 while there is none
    failed: int  # a writer or callback of the user's raised


def _record(
    event: loop.Event,
    before: int,
    diary: Diary,
    saver: saving.Saver,
    progress: "_Bar",
    signals: hosts.Signals,
) -> bool:
    """Does what is due since the pause before; says whether training has come to a good end, and raises where to another."""
    recipe, rows = diary.run.recipe, diary.rows
    last = rows[-1]["step"] if rows else 0
    looked_at = event.sample or (event.row and (_is_due(event.step, last, recipe) or _is_examined(event.step, last, diary)))
    seen = _seen(event.state, recipe) if looked_at else event.state
    failed: list[recipes.UserCodeError] = []  # of process 0, raised once the state is saved
    made = hosts.on_main_process(lambda: _written(event, before, seen, last, diary, progress, signals, failed))
    if made is None and event.row:
        rows.append({"step": event.step})
    decided = Decision(*map(int, hosts.told(made or Decision(0, 0, 0, -1, 0))))
    if decided.diverged:
        hosts.on_main_process(lambda: _finish(diary.run, diary.experiment.loss.equilibrium))
        name, value = next((name, mean) for name, mean in event.means.items() if not np.isfinite(mean).any())
        raise Diverged(_last_words(event.step, name, np.ravel(value)[0], saver.steps()))
    diary.best[:] = [decided.best] if decided.best >= 0 else []
    over = bool(event.stop or decided.ending or decided.failed)
    if event.save or over or (event.row and decided.best == event.step):
        if (array := finite.unfit(event.state, several=diary.experiment.several)) is not None:
            hosts.on_main_process(lambda: _finish(diary.run, diary.experiment.loss.equilibrium))
            raise Diverged(_last_words(event.step, array, "not finite", saver.steps()))
        saver.save(event.state, must=over or event.step == recipe.steps)
    if not over:
        return False
    if decided.failed:
        hosts.on_main_process(lambda: _finish(diary.run, diary.experiment.loss.equilibrium))
        _raise(failed, event.step)
    if decided.good:
        converged = bool(rows) and rows[-1].get("verdict") == "converged"
        log.info("stopped at step %d and saved: %s", event.step, "converged" if converged else "a callback asked to")
        return True
    hosts.on_main_process(lambda: _finish(diary.run, diary.experiment.loss.equilibrium))
    if event.stop:
        raise Interrupted(event.stop, event.step)
    raise Stopped(
        f"stopped at step {event.step} and saved: {rows[-1].get('verdict')}; {'; '.join(rows[-1].get('evidence', ()))}"
    )


def _lost(step: int, saved: list[int]) -> str:
    """Returns the words for what ending at once costs."""
    if not saved:
        return f"{step:,} steps are lost: there was no checkpoint yet"
    lost = step - saved[-1]
    return f"checkpoint {saved[-1]} is intact, " + (f"the {lost:,} steps since are lost" if lost > 0 else "nothing is lost")


def _last_words(step: int, name: str, value: float | str, there: list[int]) -> str:
    """Returns what is said of a divergence: the step, the quantity, what can be gone back to, and what may mend it."""
    back = f"the last good checkpoint is {there[-1]}" if there else "there is no checkpoint before it"
    mend = "smaller learning rates or a larger penalty.gamma may help"
    return f"diverged before step {step}: {name} is {value}; {back}; {mend}"


def _written(
    event: loop.Event,
    before: int,
    seen: GANState,
    last: int,
    diary: Diary,
    progress: "_Bar",
    signals: hosts.Signals,
    failed: list[recipes.UserCodeError],
) -> Decision:
    """Writes the row and the picture that are due, and says what is to become of the run; the part of process 0 alone."""
    recipe, rows = diary.run.recipe, diary.rows
    assert diary.watch is not None
    healthy, word = np.all([np.isfinite(mean) for mean in event.means.values()], axis=0), None
    if event.row or not healthy.any():
        # Figures and a verdict with the first row after each picture.
        due = _is_due(event.step, last, recipe)
        looking = diary.watch.figures if due and healthy.any() else None
        examined = diary.examiner if event.row and healthy.any() and _is_examined(event.step, last, diary) else None
        figures, found = _looked(looking, seen, signals), _looked(examined and examined.figures, seen, signals)
        if examined is not None and found:
            figures = [looked | each for looked, each in zip(figures or [{} for _ in found], found, strict=True)]
        row = _row(event, diary.experiment, figures)
        if examined is not None and found:
            row["definitions"] = {name: words for name, words in examined.definitions.items() if name in row}
            if real := {name: value for name, value in examined.real.items() if name in row}:
                row["real"] = real
        if due or not healthy.all():
            word = _judge(row, diary)
        if recipe.on_nan == "rollback" and (made := rollback.count(diary.run.path)):
            row["rollbacks"] = made  # so far
        rows.append(row)
        for write in diary.writers:
            _guarded("writers", functools.partial(write, row), failed)
        progress.show(row)
    if event.sample and healthy.any():
        _draw(diary, seen)
    asked = _call(event, before, diary, failed) if healthy.any() else False
    ending = (asked or word in recipes.stop_words(recipe)) and event.step < recipe.steps
    best = _best(rows, recipe)
    good = ending and (asked or word == "converged")
    return Decision(not healthy.any(), ending, good, -1 if best is None else best, bool(failed))


def _looked(
    figures: Callable[[GANState], list[dict[str, float]]] | None, seen: GANState, signals: hosts.Signals
) -> list[dict[str, float]]:
    """Returns the figures of each member; none where there is nothing to measure with, or where a signal ends it."""
    if figures is None:
        return []
    try:
        return signals.leaving(lambda: figures(seen))
    except hosts.Leave:
        log.info("a signal came: this state is saved, and not measured")
        return []


def _call(event: loop.Event, before: int, diary: Diary, failed: list[recipes.UserCodeError]) -> bool:
    """Calls the callbacks that are due; returns whether one of them asks to stop."""
    experiment, rows = diary.experiment, diary.rows
    names = {"row": event.row, "sample": event.sample, "checkpoint": event.save, "end": event.step == experiment.recipe.steps}
    due = frozenset(name for name, there in names.items() if there)
    moment = Moment(event.step, experiment.images(event.step), event.state, experiment.gan, dict(rows[-1]) if rows else {}, due)
    answers = [
        _guarded("callbacks", functools.partial(each.act, moment), failed)
        for each in diary.callbacks
        if each.next(before, experiment.images) <= event.step or "end" in due
    ]
    return "stop" in [answer for answer in answers if isinstance(answer, str)]


def _guarded(field: str, act: Callable[[], Any], failed: list[recipes.UserCodeError]) -> Any:
    """Returns what a function of the user's returns; what it raises is kept until the state is saved."""
    try:
        return act()
    except (Exception, SystemExit) as error:
        failed.append(recipes.UserCodeError(field, error))
        return None


def _raise(failed: list[recipes.UserCodeError], step: int) -> None:
    if not failed:
        raise hosts.Elsewhere(1)
    log.error("stopped at step %d and saved; the same command goes on", step)
    raise failed[0] from failed[0].cause


def _seen(state: GANState, recipe: Recipe) -> GANState:
    """Returns what process 0 looks at, which it alone can compute with; where the state is cut, all gather it."""
    if jax.process_count() == 1 and recipe.shard == "none":
        return state
    g, d = (player._replace(opt=None) for player in (state.g, state.d))
    seen: GANState = devices.here(GANState(state.step, g, d, state.ema, {}))
    return seen


def _is_due(step: int, last: int, recipe: Recipe) -> bool:
    """Tells whether there was a picture since the last row."""
    return step // recipe.sample_interval > last // recipe.sample_interval or step == recipe.steps


def _is_examined(step: int, last: int, diary: Diary) -> bool:
    """Returns whether images shown have passed a multiple of the interval since the last row."""
    interval, images = recipes.evaluation(diary.run.recipe)[0], diary.experiment.images
    if not interval:
        return False
    return images(step) // interval > images(last) // interval or step == diary.run.recipe.steps


def _row(event: loop.Event, experiment: Experiment, figures: list[dict[str, float]]) -> dict[str, Any]:
    """A line of metrics: of several GANs the mean, with its standard error and each member's value beside."""
    row: dict[str, Any] = {
        "step": event.step,
        "images": experiment.images(event.step),
        "seconds": round(event.seconds, 3),
    }
    values = dict(event.means)
    if figures:
        values |= {name: np.squeeze([each[name] for each in figures]) for name in figures[0]}
    if all(value.ndim == 0 for value in values.values()):
        return row | {name: _plain(value) for name, value in values.items()}
    both = {name: sweep.summary(value) for name, value in values.items()}
    row |= {name: mean for name, (mean, _) in both.items()}
    row["standard_error"] = {name: error for name, (_, error) in both.items()}
    row["members"] = {name: [_plain(x) for x in value] for name, value in values.items()}
    return row


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON knows no NaN


def _judge(row: dict[str, Any], diary: Diary) -> str | None:
    """Adds the verdict and its evidence to a row; the word is that of all members, or None where they differ."""
    rows, loss = [*diary.rows, row], diary.experiment.loss
    limits: dict[str, float | None] = {"equilibrium": loss.equilibrium, "largest": loss.largest}
    if "members" not in row:
        found = verdict.judge(rows, **limits)
        row |= {"verdict": found.word, "evidence": list(found.evidence)}
        return found.word
    count = len(diary.experiment.members)
    each = [verdict.judge([verdict.of_member(past, i) for past in rows], **limits) for i in range(count)]
    words = [found.word for found in each]
    row["members"] |= {"verdict": words, "evidence": [list(found.evidence) for found in each]}
    row["verdict"] = ", ".join(f"{words.count(word)} {word}" for word in verdict.WORDS if word in words) or None
    return words[0] if len(set(words)) == 1 else None


def _best(rows: list[dict[str, Any]], recipe: Recipe) -> int | None:
    figure = recipe.keep_best
    return None if figure == "none" else verdict.best(rows, figure, better_of(figure, own_metrics(recipe)))


def _draw(diary: Diary, seen: GANState) -> None:
    assert diary.watch is not None
    with _without_room("a picture"):
        pictures.write(diary.watch.picture(seen), diary.run.samples / f"{int(seen.step):06d}.png")


@contextmanager
def _without_room(what: str) -> Iterator[None]:
    """Goes on without a picture that cannot be written: it is not worth a run."""
    try:
        yield
    except OSError as error:
        log.warning("%s was not written: %s", what, error)


def _finish(run: runs.Run, equilibrium: float | None) -> None:
    """The pictures of the whole run: made when it ends or stops."""
    with _without_room("curves.png or progress.webp"):
        _draw_whole(run, equilibrium)


def _draw_whole(run: runs.Run, equilibrium: float | None) -> None:
    rows = runs.history(run)
    if rows:
        pictures.curves(rows, run.path / "curves.png", equilibrium=equilibrium)
    frames = pictures.frames(sorted(run.samples.glob("[0-9]*.png")))
    if frames:  # points are drawn with the step over them
        pictures.progress(frames, run.path / "progress.webp", titles=len(run.shape.sample) > 1)


def _announce(run: runs.Run, experiment: Experiment, step: int) -> None:
    recipe, device, count = run.recipe, jax.devices()[0], len(experiment.members)
    g, d = (number // count for number in runs.parameters(experiment.abstract))
    if step >= recipe.steps:
        log.info("%s is finished: %d of %d steps", run.path, step, recipe.steps)
        return
    log.info("%s", recorded.told(experiment))
    many = f"{count} GANs side by side, each with " if count > 1 else ""
    log.info("%s: %sG %s, D %s parameters", run.path, many, f"{g:,}", f"{d:,}")
    going_on = f"; going on from step {step}" if step else ""
    log.info(
        "%d steps of %d images on %d %s%s", recipe.steps, recipe.batch_size, jax.device_count(), device.device_kind, going_on
    )


_WIDE = 150  # columns that a bar with all figures and the longest verdict takes
_NARROW_BAR = "{percentage:3.0f}%|{bar:12}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"


class _Bar(NamedTuple):
    update: Callable[[int], Any]
    show: Callable[[dict[str, Any]], None]


@contextmanager
def _progress(step: int, steps: int) -> Iterator[_Bar]:
    """A bar on a terminal, else a plain line for each row of metrics."""

    def text(row: dict[str, Any], *, short: bool = False) -> str:
        names = {"d_loss": "D loss", "g_loss": "G loss", "d_real": "D(x)", "d_fake": "D(G(z))", "fid": "Frechet distance"}
        if short:
            names = {"d_loss": "D", "g_loss": "G"}
        shown = [f"{label} {row[name]:.{2 if short else 3}f}" for name, label in names.items() if row.get(name) is not None]
        return ("  " if not short else " ").join([*shown, row["verdict"]] if row.get("verdict") else shown)

    if not hosts.is_first():
        yield _Bar(lambda _: None, lambda _: None)
    elif sys.stderr is not None and sys.stderr.isatty():
        stream = cast(TextIO, Unfailing(sys.stderr))  # a terminal may be closed
        narrow = shutil.get_terminal_size((80, 24)).columns < _WIDE
        form = _NARROW_BAR if narrow else None
        with tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True, file=stream, bar_format=form) as bar:
            bar.set_postfix_str("compiling")

            def update(count: int) -> None:
                if bar.postfix == "compiling":
                    bar.set_postfix_str("", refresh=False)
                bar.update(count)

            yield _Bar(update, lambda row: bar.set_postfix_str(text(row, short=narrow)))
    else:
        yield _Bar(lambda _: None, lambda row: say(f"step {row['step']}/{steps}  {row['seconds']:.0f} s  {text(row)}"))
