"""A run under faults while it lives: two of everything, full disks, signals, streams that are gone, NaN."""

import dataclasses
import errno
import gc
import itertools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import TINY_WORDS

import jaxgan
from jaxgan.core.types import GANState
from jaxgan.recipes import MLP, Adam, Data, MLPDiscriminator, Penalty, Recipe
from jaxgan.system import hosts, lock
from jaxgan.system.messages import FieldError
from jaxgan.training import checkpoint, loop, rollback, runs, saving, written
from jaxgan.training.checkpoint import writing
from jaxgan.training.endings import Diverged, Interrupted
from jaxgan.training.train import train

TINY = Recipe(
    data=Data("digits"),
    generator=MLP(width=8, depth=1, latent_dim=8),
    discriminator=MLPDiscriminator(width=8, depth=1),
    penalty=Penalty("none", 0.0),
    batch_size=8,
    steps=12,
    log_interval=2,
    sample_interval=100,
    checkpoint_interval=2,
)
HOLDER = """
import sys, time, pathlib
from jaxgan.system import lock
with lock.held(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    time.sleep(99)
"""
WEIGHTS = {"w": jnp.ones(3)}
PLAYER = jaxgan.Player(WEIGHTS, {}, {})
SMALL = jaxgan.GANState(jnp.int32(0), PLAYER, PLAYER, jaxgan.Weights(WEIGHTS, {}), {})


def command(run: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "jaxgan", "train", "digits", "--run", str(run), *TINY_WORDS.split(), *words]


def no_room(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def rows_of(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------------------------ two of everything


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with (
            pytest.raises(lock.Held, match=rf"^process {other.pid} on \S+ has been writing to it since \d"),
            lock.held(tmp_path),
        ):
            pass
        other.kill()
    assert (tmp_path / lock.NAME).exists()
    for _ in range(2):
        with lock.held(tmp_path), pytest.raises(lock.Held, match=f"process {os.getpid()} "), lock.held(tmp_path):
            pass
    assert not (tmp_path / lock.NAME).exists()


@pytest.mark.slow
def test_while_one_trains_others_read_and_none_writes_and_a_kill_costs_one_interval(tmp_path: Path) -> None:
    run, interval = tmp_path / "run", 3
    words = f"--steps 1000000 --log-interval 1 --checkpoint-interval {interval} --keep-checkpoints 1".split()
    with subprocess.Popen(command(run, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as trainer:
        try:
            waited = time.monotonic()
            while len(checkpoint.saved_steps(run / "checkpoints")) == 0 or len(rows_of(run)) < 9:
                assert trainer.poll() is None
                assert time.monotonic() - waited < 90
                time.sleep(0.05)
            recipe = runs.read(run).recipe
            for wish in ({}, {"overwrite": True}):
                with pytest.raises(FieldError, match=f"^run: {run}, but process {trainer.pid} on "):
                    train(recipe, run, **wish)
            for _ in range(8):
                jaxgan.runs.load_generator(run)
        finally:
            trainer.kill()
            trainer.wait(20)
    reached, (*before, saved) = rows_of(run)[-1], checkpoint.saved_steps(run / "checkpoints")
    assert reached - saved <= interval
    assert before in ([], [saved - interval])  # killed once the new one was there and before the old one had gone
    train(dataclasses.replace(recipe, steps=saved + 2), run)
    assert rows_of(run) == list(range(1, saved + 3))
    assert checkpoint.saved_steps(run / "checkpoints") == [saved + 2]


@pytest.mark.parametrize("removed", [0, 1, 2, len(written._OURS)])
def test_a_kill_while_a_run_begins_anew_leaves_a_run(removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise SystemExit(-9)

    (old := tmp_path / "old").mkdir()
    run = train(TINY, tmp_path / "run").path
    (run / "evaluation.json").write_text("{}")
    (run / "checkpoints").rename(old / "checkpoints")
    (run / "checkpoints").symlink_to(old / "checkpoints")  # on another disk, say
    with monkeypatch.context() as patched:
        patched.setattr(written, "_OURS", written._OURS[:removed])
        patched.setattr(written, "write_shown", killed)
        with pytest.raises(SystemExit):
            train(TINY, run, overwrite=True)
    saved = checkpoint.saved_steps(run / "checkpoints")
    assert bool(saved) == (removed == 0)
    assert runs.read(run).recipe == TINY
    if not saved:
        with pytest.raises(FileNotFoundError, match=r"no checkpoint there$"):
            jaxgan.load_sampler(run)
    assert rows_of(train(TINY, run).path) == [2, 4, 6, 8, 10, 12]
    assert (run / "evaluation.json").exists() == (removed < len(written._OURS))
    assert checkpoint.saved_steps(old / "checkpoints")


def test_a_kill_before_a_new_run_is_described_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(written, "write_record", lambda *_, **__: sys.exit(-9))
        with pytest.raises(SystemExit):
            train(TINY, tmp_path / "run")
    assert (tmp_path / "run" / "samples").is_dir()
    assert rows_of(train(TINY, tmp_path / "run").path)[-1] == 12


# ------------------------------------------------------------------------------------------------------------ saves and disks


def test_saves_leave_no_thread_and_no_descriptor_behind(tmp_path: Path) -> None:
    state = SMALL

    def count() -> tuple[int, int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), len(gc.get_objects())

    seen = {}
    with checkpoint.open_checkpoints(tmp_path) as checkpoints:
        for step in range(1, 101):
            checkpoints.save(state._replace(step=jnp.int32(step)), wait=step % 2 == 0)
            seen |= {step: count()} if step in (20, 100) else {}
    descriptors, threads, objects = np.subtract(seen[100], seen[20])
    assert descriptors <= 2
    assert objects <= 200  # before, each save left forty of TensorStore's
    assert threads <= 8  # a pool grows a little; before, each save left one thread and three descriptors


def test_a_save_that_fails_midway_leaves_nothing_and_the_next_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = SMALL
    monkeypatch.setattr(writing, "failed", [])
    with checkpoint.open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state._replace(step=jnp.int32(1)), wait=True)
        with monkeypatch.context() as broken:
            broken.setattr(os, "rename", no_room)  # the last thing of a save: the folder takes its name
            with pytest.raises(checkpoint.SaveError, match=r"^checkpoint 2 in .* was not written: OSError: .*No space left"):
                checkpoints.save(state._replace(step=jnp.int32(2)), wait=True)
        assert [path.name for path in tmp_path.iterdir()] == ["1"]
        checkpoints.save(state._replace(step=jnp.int32(3)), wait=True)
        assert checkpoints.steps() == [1, 3]
    assert writing.failed == [2]


@pytest.mark.parametrize(
    ("full", "saved", "ends"), [({4, 6}, [2, 8, 10, 12], None), ({4, 6, 8}, [2], 8), ({12}, [6, 8, 10], 12)]
)
def test_on_a_full_disk_training_goes_on_and_gives_up_the_third_time(
    full: set[int],
    saved: list[int],
    ends: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = writing._check_room
    monkeypatch.setattr(writing, "failed", [])
    monkeypatch.setattr(
        writing, "_check_room", lambda where, state: (no_room if int(state.step) in full else room)(where, state)
    )
    recipe = dataclasses.replace(TINY, keep_checkpoints=4 if ends is None else 3)
    if ends is None:
        train(recipe, tmp_path)
    else:
        last = f"the last good checkpoint is {saved[-1]}; once there is room the same command goes on from it"
        with pytest.raises(checkpoint.SaveError, match=f"^checkpoint {ends} in .*No space left on device; {last}$"):
            train(recipe, tmp_path)
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == saved
    told = [record.getMessage() for record in caplog.records if "training goes on" in record.getMessage()]
    assert len(told) == len(full) - (ends is not None)


def test_the_last_state_takes_the_room_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full from the first save on, but for what the reserve gives back."""
    room, close = writing._check_room, saving.Saver._in_reserve
    monkeypatch.setattr(writing, "failed", [])
    monkeypatch.setattr(writing, "_check_room", no_room)

    def freed(saver: saving.Saver, state: GANState) -> bool:
        assert os.fstat(saver._reserve.fileno()).st_blocks * 512 > checkpoint.bytes_of(state)
        with monkeypatch.context() as there:
            there.setattr(writing, "_check_room", room)
            return close(saver, state)

    monkeypatch.setattr(saving.Saver, "_in_reserve", freed)
    short = dataclasses.replace(TINY, steps=4)  # two saves, of which the second is the last
    assert train(short, tmp_path / "short").checkpoints.joinpath("4").is_dir()
    with pytest.raises(checkpoint.SaveError, match=r"step 6 was saved in the room that was kept .* checkpoint is 6; "):
        train(TINY, tmp_path / "long")
    assert not list((tmp_path / "long" / "checkpoints").glob(".*"))


def test_a_run_removed_while_it_trains_is_a_run_again(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def remove(moment: Any) -> None:
        if moment.step == 3:
            shutil.rmtree(run)

    # a writer may change the row that it is given
    train(TINY, run, writers=[dict.clear], callbacks=[jaxgan.Callback(remove, every_steps=3)])
    assert jaxgan.load(run).state.step == TINY.steps
    assert train(TINY, run).recipe == TINY  # the same command is not refused


def test_a_run_that_another_took_over_is_left_to_it(tmp_path: Path) -> None:
    run, taken = tmp_path / "run", list[int]()

    def take(moment: Any) -> None:
        if moment.step == 3:
            run.rename(tmp_path / "moved")
            run.mkdir()
            taken.append(lock._taken(run / lock.NAME))  # as another process would

    with pytest.raises(checkpoint.SaveError, match=rf"run was removed or moved, and process {os.getpid()} on "):
        train(TINY, run, callbacks=[jaxgan.Callback(take, every_steps=3)])
    os.close(taken[0])
    assert checkpoint.saved_steps(tmp_path / "moved" / "checkpoints") == [2]
    assert not (run / "checkpoints").exists()


def test_an_interrupt_that_a_callback_raises_is_its_error(tmp_path: Path) -> None:
    def interrupts(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(jaxgan.recipes.UserCodeError, match="callbacks: it raised KeyboardInterrupt"):
        train(TINY, tmp_path, callbacks=[jaxgan.Callback(interrupts, every_steps=3)])
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == [2, 3]


def test_rows_wait_for_room_and_pictures_are_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(TINY, tmp_path)
    metrics = run.metrics.read_bytes()
    run.metrics.unlink()
    run.metrics.symlink_to("/dev/full")
    write = written.jsonl_writer(run)
    write({"step": 1})
    run.metrics.unlink()
    run.metrics.write_bytes(metrics)
    write({"step": 2})
    assert run.metrics.read_bytes() == metrics + b'{"step": 1}\n{"step": 2}\n'
    monkeypatch.setattr(jaxgan.pictures, "write", no_room)
    monkeypatch.setattr(jaxgan.pictures, "curves", no_room)
    train(TINY, tmp_path, overwrite=True)
    assert not list(run.samples.iterdir())
    assert rows_of(tmp_path) == [2, 4, 6, 8, 10, 12]


# ---------------------------------------------------------------------------------------------------- signals, streams, clocks


def test_a_signal_ends_an_evaluation(tmp_path: Path) -> None:
    calls = itertools.count()

    def slow(real: Any, _: Any) -> float:
        if next(calls):  # the first is a trial on real samples
            signal.raise_signal(signal.SIGTERM)
            time.sleep(60)
        return float(len(real))

    metric = jaxgan.Metric(slow, better="lower", definition="slow", of="samples")
    globals()["METRIC"] = metric
    recipe = dataclasses.replace(TINY, eval_metrics=(metric,), eval_every=8 * 4, eval_n=50)
    began = time.monotonic()
    with pytest.raises(Interrupted, match=r"^stopped at step 5 and saved; the same command goes on$") as caught:
        train(recipe, tmp_path)
    assert caught.value.status == 143
    assert time.monotonic() - began < 50
    assert checkpoint.saved_steps(tmp_path / "checkpoints")[-1] == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "streams", ["2>/dev/full >&- <&-", "2>&- >/dev/full", "2>&1 | head -2 >/dev/null; exit ${PIPESTATUS[0]}"]
)
def test_streams_that_are_gone_end_nothing(streams: str, tmp_path: Path) -> None:
    words = " ".join(f"'{word}'" for word in command(tmp_path / "run", "--steps", "8", "--log-interval", "1"))
    ended = subprocess.run(["bash", "-c", f"{words} {streams}"], capture_output=True, timeout=120)
    assert ended.returncode == 0
    assert checkpoint.saved_steps(tmp_path / "run" / "checkpoints") == [8]


def test_a_thread_that_is_not_the_main_one_trains_while_the_clock_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = itertools.cycle([0.0, 1e9, -1e9, 5.0])
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(jumps)))
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=train, args=(TINY, tmp_path))
    thread.start()
    thread.join(120)
    assert checkpoint.saved_steps(tmp_path / "checkpoints")[-1] == 12
    assert rows_of(tmp_path) == [2, 4, 6, 8, 10, 12]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with hosts.signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("address", ["nobody.invalid:1234", "localhost:0", "localhost:99999", ":1234"])
def test_an_address_at_which_nobody_can_be_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match=f"^coordinator: {address}, but "):
        hosts.join(address, 2, 1)


# -------------------------------------------------------------------------------------------------------------------- NaN


WILD = dataclasses.replace(
    TINY,
    loss="wasserstein",
    discriminator=MLPDiscriminator(width=8, depth=12),
    g_optimizer=Adam(learning_rate=5.0),
    d_optimizer=Adam(learning_rate=5.0),
    steps=60,
    log_interval=4,
    checkpoint_interval=4,
)


def test_a_divergence_says_what_can_be_gone_back_to(tmp_path: Path) -> None:
    with pytest.raises(
        Diverged, match=r"^diverged before step \d+: \w+ is (inf|nan|-inf); (the last good|there is no) checkpoint"
    ):
        train(WILD, tmp_path)
    for step in checkpoint.saved_steps(tmp_path / "checkpoints"):
        _, state = jaxgan.load(tmp_path, step=step)
        assert all(
            np.isfinite(leaf).all() for leaf in (*state.g.params["hidden_0"].values(), *state.d.params["hidden_0"].values())
        )


@dataclasses.dataclass(frozen=True)
class Breaks:
    """An optimizer that comes to a NaN at its sixth update, unless its steps are small."""

    learning_rate: float = 5.0
    """Step size."""

    def build(self) -> optax.GradientTransformation:
        """Returns steps along the gradient."""

        def update(grads: optax.Updates, count: jax.Array, params: object = None) -> tuple[optax.Updates, jax.Array]:
            size = jnp.where((count == 5) & (self.learning_rate > 1.0), jnp.nan, 1e-3)
            return jax.tree.map(lambda x: -size * x, grads), count + 1

        return optax.GradientTransformation(lambda _: jnp.zeros((), jnp.int32), update)


BREAKS = dataclasses.replace(
    TINY, g_optimizer=Breaks(), d_optimizer=Breaks(), on_nan="rollback", rollback_factor=1e-5, rollbacks=1
)


def test_a_rollback_goes_on_with_smaller_steps_and_is_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = BREAKS
    train(recipe, tmp_path)
    (change,) = json.loads((tmp_path / "recipe.json").read_text())["changes"]
    assert change["rollback"] is True
    assert change["fields"]["g_optimizer.learning_rate"] == [5.0, 5.0 * 1e-5]
    assert change["fields"]["seed"] == [0, 1]
    assert "rollback 1 of 1" in caplog.text
    assert rollback.replayed(tmp_path, recipe).seed == 1
    steps = checkpoint.saved_steps(tmp_path / "checkpoints")
    with caplog.at_level(logging.INFO):
        train(recipe, tmp_path)  # the same recipe again: it is the run's own
    assert "is finished" in caplog.text
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == steps
    with pytest.raises(Diverged):
        train(dataclasses.replace(recipe, rollback_factor=1.0), tmp_path / "again")
    with pytest.raises(FieldError, match=r"^on_nan: rollback, but g_optimizer has no field learning_rate"):
        train(dataclasses.replace(recipe, g_optimizer=optax.sgd(0.1)), tmp_path / "own")
