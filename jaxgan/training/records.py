"""Records of a training: rows of metrics with their verdict, the best step, pictures."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import pictures, recipes
from jaxgan.core import sweep
from jaxgan.core.types import GANState, Loss
from jaxgan.evaluation import verdict
from jaxgan.recipes import Recipe
from jaxgan.system import devices
from jaxgan.training import loop, metrics, monitor
from jaxgan.training.callbacks import Callback, Writer
from jaxgan.training.experiment import Experiment
from jaxgan.training.run import Run, history

log = logging.getLogger("jaxgan")


class Diary(NamedTuple):
    """Records of a training; in processes other than the first only the rows, without figures, and the best step."""

    run: Run
    experiment: Experiment
    watch: monitor.Monitor | None
    examiner: monitor.Examiner | None
    rows: list[dict[str, Any]]  # of metrics, those of the run so far
    writers: list[Writer]
    callbacks: list[Callback]
    best: list[int]  # the step whose checkpoint is kept besides the latest, where there is one
    told: set[str]  # callbacks that were warned of


def row_of(event: loop.Event, experiment: Experiment, figures: list[dict[str, float]]) -> dict[str, Any]:
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
    return float(value) if np.isfinite(value) and abs(value) <= metrics.LARGEST else None  # JSON knows no NaN


def judge(row: dict[str, Any], diary: Diary) -> str | None:
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


def is_final(word: str | None, rows: Sequence[dict[str, Any]], recipe: Recipe) -> bool:
    """Tells whether training stops at a verdict; at `converged` where it came twice in a row, since once may be chance.

    Args:
        word: the verdict of the last row; None where there is none.
        rows: of metrics so far.
        recipe: whose `stop_on` names the verdicts to stop at.
    """
    if word not in recipes.stop_words(recipe):
        return False
    told = [row.get("verdict") for row in rows if "verdict" in row]
    return word != "converged" or (len(told) > 1 and told[-1] == told[-2])


def is_due(step: int, last: int, recipe: Recipe) -> bool:
    """Tells whether there was a picture since the last row."""
    return step // recipe.sample_interval > last // recipe.sample_interval or step == recipe.steps


def is_examined(step: int, last: int, diary: Diary) -> bool:
    """Returns whether images shown have passed a multiple of the interval since the last row."""
    interval, images = recipes.evaluation(diary.run.recipe)[0], diary.experiment.images
    if not interval:
        return False
    return images(step) // interval > images(last) // interval or step == diary.run.recipe.steps


def seen_by_all(state: GANState, recipe: Recipe) -> GANState:
    """Returns what process 0 looks at, which it alone can compute with; where the state is cut, all gather it."""
    if jax.process_count() == 1 and recipe.shard == "none":
        return state
    g, d = (player._replace(opt=None) for player in (state.g, state.d))
    seen: GANState = devices.here(GANState(state.step, g, d, state.ema, {}))
    return seen


def draw(diary: Diary, seen: GANState) -> None:
    assert diary.watch is not None
    with _picture("a picture"):
        pictures.write(diary.watch.picture(seen), diary.run.samples / f"{int(seen.step):06d}.png")


@contextmanager
def _picture(what: str) -> Iterator[None]:
    """Goes on without a picture that cannot be drawn or written: it is not worth a run."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, MemoryError) as error:  # the encoders of pictures raise each of them
        log.warning("%s was not written: %s", what, error)


def finish(run: Run, loss: Loss) -> None:
    """The pictures of the whole run: made when it ends or stops."""
    with _picture("curves.png or progress.webp"):
        _draw_whole(run, loss)


def _draw_whole(run: Run, loss: Loss) -> None:
    rows = history(run)
    if rows:
        counted = "images" if len(run.shape.sample) == 3 else "samples"
        pictures.curves(rows, run.path / "curves.png", equilibrium=loss.equilibrium, logit=loss.logit, counted=counted)
    frames = pictures.frames(sorted(run.samples.glob("[0-9]*.png")))
    if frames:  # points are drawn with the step over them
        pictures.progress(frames, run.path / "progress.webp", titles=len(run.shape.sample) > 1)
