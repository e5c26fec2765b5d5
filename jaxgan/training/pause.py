"""A pause of the loop: rows, pictures, callbacks and the checkpoint that are due, and whether training ends here."""

import copy
import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxgan import recipes
from jaxgan.core.types import GANState
from jaxgan.system import hosts
from jaxgan.system.messages import shown
from jaxgan.training import endings, finite, loop, records, rollback, saving
from jaxgan.training.bar import Bar
from jaxgan.training.callbacks import Moment
from jaxgan.training.endings import Diverged, Interrupted, Stopped
from jaxgan.training.records import Diary
from jaxgan.training.run import best_of

log = logging.getLogger("jaxgan")


class Decision(NamedTuple):
    """The decisions of process 0 about an event; numbers, so that it can tell the others."""

    diverged: int
    ending: int  # a verdict to stop on was reached
    good: int  # why that is a good end: 0 it is none, 1 the verdict is converged, 2 a callback asked to
    best: int  # step of the best state by `keep_best`; -1 while there is none
    failed: int  # a writer or callback of the user's raised


def pause(
    event: loop.Event,
    before: int,
    diary: Diary,
    saver: saving.Saver,
    progress: Bar,
    signals: hosts.Signals,
) -> bool:
    """Does what is due at a pause of the loop: the row, the picture, callbacks and the checkpoint.

    Returns:
        True where training ends well, converged or because a callback asked to stop; False where it goes on.

    Raises:
        Diverged: when a loss, a gradient or an array of the state is not finite.
        Interrupted: when a signal came; the state is saved.
        Stopped: when another verdict of `stop_on` was reached; the state is saved.
        UserCodeError: when a callback or a writer raised; the state is saved. Other processes raise `hosts.Elsewhere`.
    """
    recipe, rows = diary.run.recipe, diary.rows
    last = rows[-1]["step"] if rows else 0
    looked_at = event.sample or (
        event.row and (records.is_due(event.step, last, recipe) or records.is_examined(event.step, last, diary))
    )
    seen = records.seen_by_all(event.state, recipe) if looked_at else event.state
    failed: list[recipes.UserCodeError] = []  # of process 0, raised once the state is saved
    there = {*saver.steps(), event.step}  # the state of this step is saved if it is the best
    made = hosts.on_main_process(lambda: _written(event, before, seen, last, diary, there, progress, signals, failed))
    if made is None and event.row:
        rows.append({"step": event.step})
    decided = Decision(*map(int, hosts.told(made or Decision(0, 0, 0, -1, 0))))
    if decided.diverged:
        hosts.on_main_process(lambda: records.finish(diary.run, diary.experiment.loss))
        name, value = next((name, mean) for name, mean in event.means.items() if not np.isfinite(mean).any())
        raise Diverged(endings.last_words(event.step, name, np.ravel(value)[0], saver.steps()))
    diary.best[:] = [decided.best] if decided.best >= 0 else []
    over = bool(event.stop or decided.ending or decided.failed)
    if event.save or over or (event.row and decided.best == event.step):
        if (array := finite.unfit(event.state, several=diary.experiment.several)) is not None:
            hosts.on_main_process(lambda: records.finish(diary.run, diary.experiment.loss))
            raise Diverged(endings.last_words(event.step, array, "not finite", saver.steps()))
        saver.save(event.state, must=over or event.step == recipe.steps)
    if not over:
        return False
    if decided.failed:
        hosts.on_main_process(lambda: records.finish(diary.run, diary.experiment.loss))
        _raise(failed, event.step)
    if decided.good:
        why = "converged" if decided.good == 1 else "a callback asked to stop"
        log.info("stopped at step %d and saved: %s", event.step, why)
        return True
    hosts.on_main_process(lambda: records.finish(diary.run, diary.experiment.loss))
    if event.stop:
        raise Interrupted(event.stop, event.step)
    raise Stopped(
        "; ".join([f"stopped at step {event.step} and saved: {rows[-1].get('verdict')}", *rows[-1].get("evidence", ())])
    )


def _written(
    event: loop.Event,
    before: int,
    seen: GANState,
    last: int,
    diary: Diary,
    there: set[int],
    progress: Bar,
    signals: hosts.Signals,
    failed: list[recipes.UserCodeError],
) -> Decision:
    """Writes the row and the picture that are due, and returns the decision about the run; on process 0 alone."""
    recipe, rows = diary.run.recipe, diary.rows
    assert diary.watch is not None
    healthy, word = np.all([np.isfinite(mean) for mean in event.means.values()], axis=0), None
    if event.row or not healthy.any():
        # Figures and a verdict with the first row after each picture.
        due = records.is_due(event.step, last, recipe)
        looking = diary.watch.figures if due and healthy.any() else None
        examined = diary.examiner if event.row and healthy.any() and records.is_examined(event.step, last, diary) else None
        if examined is not None:
            progress.note("measuring")
        figures = _looked(looking, seen, signals)
        told = looking is not None and bool(signals.came)
        found = _looked(examined and examined.figures, seen, signals, told=told)
        if examined is not None and found:
            figures = [looked | each for looked, each in zip(figures or [{} for _ in found], found, strict=True)]
        row = records.row_of(event, diary.experiment, figures)
        if examined is not None and found:
            row["definitions"] = {name: words for name, words in examined.definitions.items() if name in row}
            if real := {name: value for name, value in examined.real.items() if name in row}:
                row["real"] = real
        if due or not healthy.all():
            word = records.judge(row, diary)
        if recipe.on_nan == "rollback" and (made := rollback.count(diary.run.path)):
            row["rollbacks"] = made  # so far
        rows.append(row)
        for write in diary.writers:  # each has a row of its own, to change as it likes
            _guarded("writers", functools.partial(write, copy.deepcopy(row)), failed)
        progress.show(row)
    if event.sample and healthy.any():
        records.draw(diary, seen)
    asked = _call(event, before, diary, failed) if healthy.any() else False
    final = records.is_final(word, rows, recipe)
    ending = (asked or final) and event.step < recipe.steps
    best = best_of(rows, recipe, there)
    good = 0 if not ending else 1 if final and word == "converged" else 2 if asked else 0
    return Decision(not healthy.any(), ending, good, -1 if best is None else best, bool(failed))


def _looked(
    figures: Callable[[GANState], list[dict[str, float]]] | None, seen: GANState, signals: hosts.Signals, *, told: bool = False
) -> list[dict[str, float]]:
    """Returns the figures of each member; none where there is nothing to measure with, or where a signal ends it.

    Args:
        figures: the evaluation.
        seen: the state.
        signals: any of them may end the measurement.
        told: a line about a signal was logged already.
    """
    if figures is None:
        return []
    try:
        return signals.leaving(lambda: figures(seen))
    except hosts.Leave:
        if not told:
            log.info("a signal came: this state is saved, and not measured")
        return []


def _call(event: loop.Event, before: int, diary: Diary, failed: list[recipes.UserCodeError]) -> bool:
    """Calls the callbacks that are due; returns whether one of them asks to stop."""
    experiment, rows = diary.experiment, diary.rows
    names = {"row": event.row, "sample": event.sample, "checkpoint": event.save, "end": event.step == experiment.recipe.steps}
    due = frozenset(name for name, there in names.items() if there)
    moment = Moment(event.step, experiment.images(event.step), event.state, experiment.gan, dict(rows[-1]) if rows else {}, due)
    stops = False
    for each in diary.callbacks:
        if each.next(before, experiment.images) > event.step and "end" not in due:
            continue
        answer = _guarded("callbacks", functools.partial(each.act, moment), failed)
        stops |= isinstance(answer, str) and answer == "stop"
        # Other answers may be by the way, as of `lambda moment: shutil.copy(..)`.
        near = answer is True or (isinstance(answer, str) and answer != "stop" and answer.strip().lower() == "stop")
        if near and each.name not in diary.told:
            diary.told.add(each.name)
            log.warning('callbacks: %s returned %s, which means nothing; "stop" ends training', each.name, shown(answer))
    return stops


def _guarded(field: str, act: Callable[[], Any], failed: list[recipes.UserCodeError]) -> Any:
    """Returns what a function of the user's returns; what it raises is kept until the state is saved."""
    try:
        return act()
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # signals have handlers of their own here
        failed.append(recipes.UserCodeError(field, error))
        return None


def _raise(failed: list[recipes.UserCodeError], step: int) -> None:
    if not failed:
        raise hosts.Elsewhere(1)
    log.error("stopped at step %d and saved; the same command goes on", step)
    raise failed[0] from failed[0].cause
