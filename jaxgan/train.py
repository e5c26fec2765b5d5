"""Trains a run: the loop around `gan.step`, and everything it leaves behind."""

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from PIL import Image
from tqdm import tqdm

from jaxgan import build, checkpoint, pictures, recipes, runs
from jaxgan.recipes import Recipe
from jaxgan.types import GAN, Batch, Dataset, GANState, Info, Key

log = logging.getLogger("jaxgan")

# D's loss where p_g = p_data and D cannot tell: two terms of log 2, or one of a difference of logits. Others have none.
_EQUILIBRIUM = {
    "minimax": 2 * math.log(2),
    "non_saturating": 2 * math.log(2),
    "relativistic": math.log(2),
    "relativistic_average": 2 * math.log(2),
}


class Diverged(RuntimeError):
    """Training came to a value that is not finite."""


class Interrupted(RuntimeError):
    """A signal stopped training; the state was saved."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped at step {step} and saved; the same command goes on")
        self.status = 128 + number


def train(
    recipe: Recipe, path: str | Path, *, overwrite: bool = False, strict: bool = False, tensorboard: bool = False
) -> runs.Run:
    """Trains a recipe in a run directory, from its last checkpoint if it has one.

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
        Interrupted: after SIGTERM or Ctrl-C; the state is saved.
    """
    recipes.check(recipe)
    if tensorboard and find_spec("tensorboardX") is None:
        raise ValueError("tensorboard: True, but it is not installed: pip install 'jaxgan[tensorboard]'")
    dataset = build.dataset(recipe)
    gan, batches, replicated = _prepare(recipe, dataset)
    abstract = runs.abstract_state(gan)
    run = runs.start(path, recipe, dataset, overwrite=overwrite)
    writers = [runs.jsonl_writer(run)] + ([runs.tensorboard_writer(run)] if tensorboard else [])

    with checkpoint.open_checkpoints(run.checkpoints, keep=recipe.keep_checkpoints) as checkpoints:
        key = jax.random.key(recipe.seed)
        if checkpoints.steps():
            state = checkpoint.restore(run.checkpoints, abstract, strict=strict, sharding=replicated)
        else:
            state = jax.jit(gan.init, out_shardings=replicated)(key)
        rows = runs.forget_after(run, int(state.step))
        _announce(run, abstract, int(state.step))
        if int(state.step) < recipe.steps:
            draw_samples = _sampler(run, gan, dataset)
            if not rows:
                draw_samples(state)
            with _signals() as stop:
                seconds = rows[-1]["seconds"] if rows else 0.0
                for event in _steps(gan, state, batches, recipe, seconds, stop):
                    _record(event, checkpoints, writers, draw_samples)
                    if event.stop:
                        checkpoints.wait()
                        _finish(run)
                        raise Interrupted(event.stop, event.step)
    _finish(run)
    return run


class Event(NamedTuple):
    """A moment of training at which something is due."""

    step: int
    state: GANState
    row: dict[str, Any] | None  # of metrics, when one is due
    sample: bool
    save: bool
    stop: int  # number of the signal that came, or 0


def _steps(
    gan: GAN, state: GANState, batches: Callable[..., Batch], recipe: Recipe, seconds: float, stop: list[int]
) -> Iterator[Event]:
    """Advances the state to `recipe.steps`, pausing at each step at which a row, a picture or a checkpoint is due."""
    advance, key = _advance(gan, recipe), jax.random.key(recipe.seed)
    intervals = (recipe.log_interval, recipe.sample_interval, recipe.checkpoint_interval)
    step, infos, began = int(state.step), [], time.perf_counter() - seconds
    with _progress(step, recipe.steps) as progress:
        while step < recipe.steps:
            due = min([recipe.steps, *((step // interval + 1) * interval for interval in intervals)])
            count = min(recipe.steps_per_dispatch, due - step)
            state, info = advance(state, batches(step, recipe.steps_per_dispatch), jnp.int32(count), key)
            infos.append((info, count))
            step += count
            if len(infos) > 2:
                jax.block_until_ready(infos[-3])  # no more than two dispatches ahead of the device
            progress.update(count)
            signal_number, last = stop[0] if stop else 0, step == recipe.steps
            if step < due and not signal_number:
                continue
            row = None
            save = last or bool(signal_number) or step % recipe.checkpoint_interval == 0
            if last or save or step % recipe.log_interval == 0:
                means = _mean(infos, step)
                if last or step % recipe.log_interval == 0:
                    images = step * recipe.disc_steps * recipe.batch_size
                    row = {"step": step, "images": images, "seconds": round(time.perf_counter() - began, 3)} | means
                    infos = []
                    progress.show(row)
            yield Event(step, state, row, last or step % recipe.sample_interval == 0, save, signal_number)
            if signal_number:
                return


def _prepare(recipe: Recipe, dataset: Dataset) -> tuple[GAN, Callable[..., Batch], NamedSharding]:
    """The GAN and its batches, cut along the batch axis over all devices; every device holds the whole state."""
    rows, count = build.batch_rows(recipe), jax.device_count()
    if dataset.size is not None and rows > dataset.size:
        raise ValueError(
            f"batch_size: {recipe.batch_size}, but {dataset.name}/{dataset.split} holds {dataset.size} images "
            f"and one step takes {rows}"
        )
    if recipe.batch_size % count:
        raise ValueError(f"batch_size: {recipe.batch_size}, but it must be a multiple of the {count} devices")
    gan = build.build(recipe, build.shape_of(recipe, dataset))
    mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
    batches = dataset.batches(recipe.seed, rows, NamedSharding(mesh, PartitionSpec("data")))
    return gan, batches, NamedSharding(mesh, PartitionSpec())


def _advance(gan: GAN, recipe: Recipe) -> Callable[[GANState, Batch, jax.Array, Key], tuple[GANState, Info]]:
    """The compiled program: `count` steps on batches `[steps, B, ...]`, and the mean of their infos."""

    def one(state: GANState, batches: Batch, _: jax.Array, key: Key) -> tuple[GANState, Info]:
        return gan.step(state, jax.tree.map(lambda x: x[0], batches), key)

    def several(state: GANState, batches: Batch, count: jax.Array, key: Key) -> tuple[GANState, Info]:
        def body(i: jax.Array, carry: tuple[GANState, Info]) -> tuple[GANState, Info]:
            state, info = gan.step(carry[0], jax.tree.map(lambda x: x[i], batches), key)
            return state, jax.tree.map(lambda total, x: total + x / count, carry[1], info)

        info = jax.eval_shape(gan.step, state, jax.tree.map(lambda x: x[0], batches), key)[1]
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), info)
        # The count is traced: one program for every count, so that a run cut anywhere computes the same.
        return jax.lax.fori_loop(0, count, body, (state, zeros))

    return jax.jit(one if recipe.steps_per_dispatch == 1 else several, donate_argnums=0)


def _mean(infos: list[tuple[Info, int]], step: int) -> dict[str, float]:
    """The mean of each scalar over the steps since the last row."""
    values, counts = jax.device_get([info for info, _ in infos]), [count for _, count in infos]
    means = {name: float(np.average([value[name] for value in values], weights=counts)) for name in values[0]}
    for name, mean in means.items():
        if not math.isfinite(mean):
            raise Diverged(f"diverged before step {step}: {name} is {mean}; the last checkpoint is kept")
    return means


def _record(
    event: Event,
    checkpoints: checkpoint.Checkpoints,
    writers: list[runs.Writer],
    draw_samples: Callable[[GANState], None],
) -> None:
    if event.row:
        for write in writers:
            write(event.row)
    if event.sample:
        draw_samples(event.state)
    if event.save:
        checkpoints.save(event.state)


def _sampler(run: runs.Run, gan: GAN, dataset: Dataset) -> Callable[[GANState], None]:
    """Draws the same latents at every call, into `samples/STEP.png`."""
    points, classes = len(run.shape.sample) == 1, run.shape.classes
    count = 2_500 if points else 100 if classes == 10 else 64
    labels = jnp.arange(count, dtype=jnp.int32) % max(classes, 1)
    sample, key = jax.jit(gan.sample), jax.random.key(run.recipe.seed)
    real = dataset.batches(run.recipe.seed, count)(0)["image"][0] if points else None

    def draw(state: GANState) -> None:
        images = np.asarray(sample(state, key, labels))
        if points:
            picture = pictures.scatter(images, real=np.asarray(real), title=f"step {int(state.step):,}")
        else:
            picture = pictures.grid(images, columns=10 if classes == 10 else 8)
        pictures.write(picture, run.samples / f"{int(state.step):06d}.png")

    return draw


def _finish(run: runs.Run) -> None:
    """The pictures of the whole run: made when it ends or stops."""
    rows = runs.history(run)
    if rows:
        pictures.curves(rows, run.path / "curves.png", equilibrium=_EQUILIBRIUM.get(run.recipe.loss))
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
    if step >= recipe.steps:
        log.info("%s is finished: %d of %d steps", run.path, step, recipe.steps)
        return
    log.info(
        "%s: G %s, D %s parameters; %d steps of %d images on %d %s%s",
        run.path, f"{g:,}", f"{d:,}", recipe.steps, recipe.batch_size, jax.device_count(), device.device_kind,
        f"; going on from step {step}" if step else "",
    )  # fmt: skip


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Yields a list that holds the number of the first SIGTERM or Ctrl-C; the second ends the process at once."""
    came: list[int] = []

    def handle(number: int, _: Any) -> None:
        if came:
            os._exit(128 + number)
        came.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Bar(NamedTuple):
    update: Callable[[int], Any]
    show: Callable[[dict[str, Any]], None]


@contextmanager
def _progress(step: int, steps: int) -> Iterator[_Bar]:
    """A bar on a terminal, else a plain line for each row of metrics."""

    def text(row: dict[str, Any]) -> str:
        names = {"d_loss": "D loss", "g_loss": "G loss", "d_real": "D(x)", "d_fake": "D(G(z))"}
        return "  ".join(f"{label} {row[name]:.3f}" for name, label in names.items())

    if sys.stderr.isatty():
        with tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True, file=sys.stderr) as bar:
            yield _Bar(bar.update, lambda row: bar.set_postfix_str(text(row)))
    else:
        yield _Bar(
            lambda _: None,
            lambda row: print(f"step {row['step']}/{steps}  {row['seconds']:.0f} s  {text(row)}", file=sys.stderr, flush=True),
        )
