"""Trains a run: what happens at each pause of the loop, and everything it leaves behind."""

import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxgan import pictures, recipes
from jaxgan.core import sweep
from jaxgan.core.types import Dataset, GANState
from jaxgan.evaluation import verdict
from jaxgan.evaluation.settings import better_of
from jaxgan.recipes import Recipe
from jaxgan.system import devices, hosts
from jaxgan.training import build, checkpoint, loop, monitor, runs

log = logging.getLogger("jaxgan")


class Diverged(RuntimeError):
    """Training came to a value that is not finite."""


class Stopped(RuntimeError):
    """A verdict that `stop_on` names was reached; the state was saved."""


class Interrupted(RuntimeError):
    """A signal stopped training; the state was saved."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped at step {step} and saved; the same command goes on")
        self.status = 128 + number


def train(
    recipe: Recipe, path: str | Path, *, overwrite: bool = False, strict: bool = False, tensorboard: bool = False
) -> runs.Run:
    """Trains a recipe in a run directory, from its last checkpoint if it has one.

    Several processes that joined (`hosts.join`) all call it with the same arguments, and train one run, in a directory that
    all of them see: each feeds its own devices, all save together, and process 0 draws, measures and writes the rest.

    Args:
        recipe: what to train.
        path: the run directory, see `runs.start`.
        overwrite: start anew.
        strict: refuse a damaged checkpoint rather than fall back to the one before.
        tensorboard: also write `tensorboard/`.

    Returns:
        The run, trained for `recipe.steps` steps.

    Raises:
        ValueError, FileNotFoundError: when something asked for cannot be; nothing is written then.
        CheckpointError: when `strict` and the latest checkpoint is damaged, or none can be read.
        Diverged: when a loss is not finite; the last good checkpoint stays.
        Stopped: on a verdict that the recipe stops on, other than converged; the state is saved.
        Interrupted: after SIGTERM or Ctrl-C; the state is saved.
        Elsewhere: where another process raised one of these.
    """
    dataset, prepared = hosts.together(lambda: _prepared(recipe, tensorboard))
    shape = build.shape_of(recipe, dataset)
    examiner = hosts.by_first(lambda: monitor.examiner(recipe, shape, dataset))
    hosts.by_first(lambda: runs.start(path, recipe, dataset, overwrite=overwrite))
    run = hosts.together(lambda: runs.join(path, recipe, dataset))
    writers = [runs.jsonl_writer(run)] + ([runs.tensorboard_writer(run)] if tensorboard else []) if hosts.is_first() else []
    best: list[int] = []
    with checkpoint.open_checkpoints(run.checkpoints, keep=recipe.keep_checkpoints, also=lambda: best) as checkpoints:
        state, start = _started(run, prepared, strict)
        hosts.by_first(lambda: runs.forget_after(run, start))
        rows = runs.history(run, until=start)
        found = _best(rows, recipe)
        best += [] if found is None else [found]
        _announce(run, prepared.abstract, start)
        if start < recipe.steps:
            watch = hosts.by_first(lambda: monitor.monitor(recipe, shape, dataset))
            diary = Diary(run, watch, examiner, rows, writers, best)
            if not rows:
                seen = _seen(state, recipe)
                hosts.by_first(lambda: _draw(diary, seen))
            with _progress(start, recipe.steps) as progress, hosts.signals() as stop:
                seconds = rows[-1]["seconds"] if rows else 0.0
                for event in loop.steps(prepared, state, recipe, seconds=seconds, stop=stop, progress=progress.update):
                    if _record(event, diary, checkpoints, progress):
                        break
    hosts.by_first(lambda: _finish(run))
    for line in outcome(run):
        log.info("%s", line)
    return run


def _prepared(recipe: Recipe, tensorboard: bool) -> tuple[Dataset, loop.Prepared]:
    """Everything that may be refused before a run is written."""
    recipes.check(recipe)
    if tensorboard and find_spec("tensorboardX") is None:
        raise ValueError("tensorboard: True, but it is not installed: pip install 'jaxgan[tensorboard]'")
    if recipe.keep_best in ("modes", "high_quality", "reverse_kl") and recipe.data.name not in build.MIXTURES:
        raise ValueError(f"keep_best: {recipe.keep_best} is measured on {', '.join(build.MIXTURES)} only")
    dataset = build.dataset(recipe)
    return dataset, loop.prepare(recipe, dataset, build.shape_of(recipe, dataset))


def _started(run: runs.Run, prepared: loop.Prepared, strict: bool) -> tuple[GANState, int]:
    """The state to go on from, and its step."""
    if checkpoint.saved_steps(run.checkpoints):
        state = checkpoint.restore(run.checkpoints, prepared.abstract, strict=strict)
    else:
        placed = jax.tree.map(lambda leaf: leaf.sharding, prepared.abstract)
        state = jax.jit(prepared.gan.init, out_shardings=placed)(build.key(run.recipe))
    return state, int(state.step)


def outcome(run: runs.Run) -> list[str]:
    """Mean and standard error of the last figures of a run of several GANs, for each weight of a sweep; [] of one."""
    recipe, rows = run.recipe, runs.history(run)
    if len(recipes.members(recipe)) == 1 or not rows or "members" not in rows[-1]:
        return []
    lines, members = [], rows[-1]["members"]
    for i, gamma in enumerate(recipe.penalty.gammas or (None,)):
        part = slice(i * recipe.seeds, (i + 1) * recipe.seeds)
        figures = []
        for name in ("d_loss", *verdict.Figures._fields, *recipes.LOOKED_AT[2:], *recipes.MEASURED):
            there = [value for value in members.get(name, [])[part] if value is not None]
            mean, error = sweep.summary(there)
            if mean is not None:
                figures.append(f"{name} {mean:.4g}" + (f" +- {error:.2g}" if error is not None else ""))
        words = [word or "too early" for word in members.get("verdict", [])[part]]
        counted = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
        lines.append(", ".join([*([] if gamma is None else [f"gamma {gamma:g}"]), *figures, *counted]))
    return lines


class Diary(NamedTuple):
    """Where what happens is written; in processes other than the first only the rows, without figures, and the best step."""

    run: runs.Run
    watch: monitor.Monitor | None
    examiner: monitor.Examiner | None
    rows: list[dict[str, Any]]  # of metrics, those of the run so far
    writers: list[runs.Writer]
    best: list[int]  # the step whose checkpoint is kept besides the latest, where there is one


class Decision(NamedTuple):
    """What process 0 makes of an event; numbers, so that it can tell the others."""

    diverged: int
    ending: int  # by a verdict to stop on
    good: int  # which is that it has converged
    best: int  # step of the best state by `keep_best`; -1 while there is none


def _record(event: loop.Event, diary: Diary, checkpoints: checkpoint.Checkpoints, progress: "_Bar") -> bool:
    """Does what is due; says whether training has come to a good end, and raises where it has to another."""
    recipe, rows = diary.run.recipe, diary.rows
    last = rows[-1]["step"] if rows else 0
    looked_at = event.sample or (event.row and (_is_due(event.step, last, recipe) or _is_examined(event.step, last, recipe)))
    seen = _seen(event.state, recipe) if looked_at else event.state
    made = hosts.by_first(lambda: _written(event, seen, last, diary, progress))
    if made is None and event.row:
        rows.append({"step": event.step})
    decided = Decision(*map(int, hosts.told(made or Decision(0, 0, 0, -1))))
    if decided.diverged:
        hosts.by_first(lambda: _finish(diary.run))
        name, value = next((name, mean) for name, mean in event.means.items() if not np.isfinite(mean).any())
        raise Diverged(f"diverged before step {event.step}: {name} is {np.ravel(value)[0]}; the last checkpoint is kept")
    diary.best[:] = [decided.best] if decided.best >= 0 else []
    if event.save or decided.ending or (event.row and decided.best == event.step):
        checkpoints.save(event.state)
    if not event.stop and not decided.ending:
        return False
    checkpoints.wait()
    if decided.good:
        log.info("stopped at step %d and saved: converged", event.step)
        return True
    hosts.by_first(lambda: _finish(diary.run))
    if event.stop:
        raise Interrupted(event.stop, event.step)
    raise Stopped(
        f"stopped at step {event.step} and saved: {rows[-1].get('verdict')}; {'; '.join(rows[-1].get('evidence', ()))}"
    )


def _written(event: loop.Event, seen: GANState, last: int, diary: Diary, progress: "_Bar") -> Decision:
    """Writes the row and the picture that are due, and says what is to become of the run; the part of process 0 alone."""
    recipe, rows = diary.run.recipe, diary.rows
    assert diary.watch is not None
    healthy, word = np.all([np.isfinite(mean) for mean in event.means.values()], axis=0), None
    if event.row or not healthy.any():
        # Figures and a verdict with the first row after each picture.
        due = _is_due(event.step, last, recipe)
        figures = diary.watch.figures(seen) if due and healthy.any() else []
        examined = diary.examiner if event.row and healthy.any() and _is_examined(event.step, last, recipe) else None
        if examined is not None:
            found = examined.figures(seen)
            figures = [looked | each for looked, each in zip(figures or [{} for _ in found], found, strict=True)]
        row = _row(event, recipe, figures)
        if examined is not None:
            row["definitions"] = {name: words for name, words in examined.definitions.items() if name in row}
            if real := {name: value for name, value in examined.real.items() if name in row}:
                row["real"] = real
        if due or not healthy.all():
            word = _judge(row, diary)
        rows.append(row)
        for write in diary.writers:
            write(row)
        progress.show(row)
    if event.sample and healthy.any():
        _draw(diary, seen)
    ending = word in recipes.stop_words(recipe) and event.step < recipe.steps
    best = _best(rows, recipe)
    return Decision(not healthy.any(), ending, ending and word == "converged", -1 if best is None else best)


def _seen(state: GANState, recipe: Recipe) -> GANState:
    """What process 0 looks at, which it alone can compute with; where the state is cut, all gather it."""
    if jax.process_count() == 1 and recipe.shard == "none":
        return state
    g, d = (player._replace(opt=None) for player in (state.g, state.d))
    seen: GANState = devices.here(GANState(state.step, g, d, state.ema, {}))
    return seen


def _is_due(step: int, last: int, recipe: Recipe) -> bool:
    """Whether there was a picture since the last row."""
    return step // recipe.sample_interval > last // recipe.sample_interval or step == recipe.steps


def _is_examined(step: int, last: int, recipe: Recipe) -> bool:
    """Whether images shown have passed a multiple of the interval since the last row."""
    interval, shown = recipes.evaluation(recipe)[0], recipe.disc_steps * recipe.batch_size
    if not interval:
        return False
    return step * shown // interval > last * shown // interval or step == recipe.steps


def _row(event: loop.Event, recipe: Recipe, figures: list[dict[str, float]]) -> dict[str, Any]:
    """A line of metrics: of several GANs the mean, with its standard error and each member's value beside."""
    row: dict[str, Any] = {
        "step": event.step,
        "images": event.step * recipe.disc_steps * recipe.batch_size,
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
    recipe, rows = diary.run.recipe, [*diary.rows, row]
    if "members" not in row:
        found = _verdict(rows, recipe)
        row |= {"verdict": found.word, "evidence": list(found.evidence)}
        return found.word
    count = len(recipes.members(recipe))
    each = [_verdict([verdict.of_member(past, i) for past in rows], recipe) for i in range(count)]
    words = [found.word for found in each]
    row["members"] |= {"verdict": words, "evidence": [list(found.evidence) for found in each]}
    row["verdict"] = ", ".join(f"{words.count(word)} {word}" for word in verdict.WORDS if word in words) or None
    return words[0] if len(set(words)) == 1 else None


def _verdict(rows: list[dict[str, Any]], recipe: Recipe) -> verdict.Verdict:
    loss = build.LOSSES[recipe.loss]
    return verdict.judge(rows, equilibrium=loss.equilibrium, largest=loss.largest)


def _best(rows: list[dict[str, Any]], recipe: Recipe) -> int | None:
    figure = recipe.keep_best
    return None if figure == "none" else verdict.best(rows, figure, better_of(figure))


def _draw(diary: Diary, seen: GANState) -> None:
    assert diary.watch is not None
    pictures.write(diary.watch.picture(seen), diary.run.samples / f"{int(seen.step):06d}.png")


def _finish(run: runs.Run) -> None:
    """The pictures of the whole run: made when it ends or stops."""
    rows = runs.history(run)
    if rows:
        pictures.curves(rows, run.path / "curves.png", equilibrium=build.LOSSES[run.recipe.loss].equilibrium)
    files = sorted(run.samples.glob("[0-9]*.png"))
    if files:
        frames = []
        for file in files:
            with Image.open(file) as image:
                frames.append(image.copy())
        pictures.animation(frames, run.path / "progress.webp")


def _announce(run: runs.Run, abstract: GANState, step: int) -> None:
    g, d = (sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(player.params)) for player in (abstract.g, abstract.d))
    recipe, device = run.recipe, jax.devices()[0]
    count = len(recipes.members(recipe))
    g, d = g // count, d // count
    if step >= recipe.steps:
        log.info("%s is finished: %d of %d steps", run.path, step, recipe.steps)
        return
    many = f"{count} GANs side by side, each with " if count > 1 else ""
    log.info("%s: %sG %s, D %s parameters", run.path, many, f"{g:,}", f"{d:,}")
    going_on = f"; going on from step {step}" if step else ""
    log.info(
        "%d steps of %d images on %d %s%s", recipe.steps, recipe.batch_size, jax.device_count(), device.device_kind, going_on
    )


class _Bar(NamedTuple):
    update: Callable[[int], Any]
    show: Callable[[dict[str, Any]], None]


@contextmanager
def _progress(step: int, steps: int) -> Iterator[_Bar]:
    """A bar on a terminal, else a plain line for each row of metrics."""

    def text(row: dict[str, Any]) -> str:
        names = {"d_loss": "D loss", "g_loss": "G loss", "d_real": "D(x)", "d_fake": "D(G(z))", "fid": "Frechet distance"}
        shown = [f"{label} {row[name]:.3f}" for name, label in names.items() if row.get(name) is not None]
        return "  ".join([*shown, row["verdict"]] if row.get("verdict") else shown)

    if not hosts.is_first():
        yield _Bar(lambda _: None, lambda _: None)
    elif sys.stderr.isatty():
        with tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True, file=sys.stderr) as bar:
            yield _Bar(bar.update, lambda row: bar.set_postfix_str(text(row)))
    else:
        yield _Bar(
            lambda _: None,
            lambda row: print(f"step {row['step']}/{steps}  {row['seconds']:.0f} s  {text(row)}", file=sys.stderr, flush=True),
        )
