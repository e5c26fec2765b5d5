"""Ends of a run: kills in the middle of a save, signals while it compiles, threads and locks that outlive it, NaN."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import kill_and_resume
import optax
import pytest
import test_checkpoint
import test_convert
import test_hosts
from conftest import Child
from test_life import BREAKS, SMALL, TINY, rows_of

from jaxgan.commands.convert import convert
from jaxgan.system import files, lock
from jaxgan.system.messages import FieldError
from jaxgan.training import checkpoint, finite, loop
from jaxgan.training.checkpoint import restoring
from jaxgan.training.endings import Diverged, Interrupted
from jaxgan.training.train import train

FIXTURE = Path(__file__).parent.parent / "fixtures" / "run_format_2"
FORKS = """
import os, pathlib, sys, time
from jaxgan.system import lock
with lock.held(pathlib.Path(sys.argv[1])):
    if os.fork() == 0:
        print(1, flush=True)
    time.sleep(60)
"""
NO_FOLDER = """
import pathlib, shutil, sys
sys.path.insert(0, sys.argv[2])
import test_checkpoint
from jaxgan.training import checkpoint
from jaxgan.training.checkpoint import writing
writing._check_room = lambda *_: None
where = pathlib.Path(sys.argv[1])
with checkpoint.open_checkpoints(where) as checkpoints:
    shutil.rmtree(where)
    where.touch()
    try:
        checkpoints.save(test_checkpoint.make_state(1), wait=True)
    except checkpoint.SaveError as error:
        print(error)
"""
SAMPLES = """
import sys, time
import numpy as np
from jaxgan import cli

def slow(file, **arrays):
    file.write(b"part")
    file.flush()
    print(1, flush=True)
    time.sleep(60)

np.savez_compressed = slow
cli.main(["sample", sys.argv[1], "--n", "1", "--out", sys.argv[2], "--no-compile-cache"])
"""
NOBODY = """
from jaxgan.system import hosts
hosts._PATIENCE = 2
hosts.join("127.0.0.1:9", 2, 1)
"""


# -------------------------------------------------------------------------------------------------------------------- kills


@pytest.mark.slow
@pytest.mark.faults(2)
def test_killed_in_the_middle_of_saves_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    killed, alone, interval = tmp_path / "killed", tmp_path / "alone", 5
    words = f"--log-interval 1 --checkpoint-interval {interval} --keep-checkpoints 2"
    saves = killed / "checkpoints"
    for _ in range(2):
        before = max(checkpoint.saved_steps(saves), default=0)
        child = Child(killed, f"{words} --steps 1000000")
        child.until(lambda before=before: max(checkpoint.saved_steps(saves), default=0) > before)
        child.until(lambda: list(saves.glob("*.orbax-checkpoint-tmp*")), pause=0.0)
        child.kill()
        child.communicate()
        lost = rows_of(killed)[-1] - checkpoint.saved_steps(saves)[-1]
        assert 0 <= lost <= interval
    last = rows_of(killed)[-1] + 3
    for run in (killed, alone):
        assert Child(run, f"{words} --steps {last}").ends()[0] == 0
    assert kill_and_resume.differing_leaves(killed, alone) == []
    assert rows_of(killed) == list(range(1, last + 1))
    assert not list(saves.glob("*tmp*"))


@pytest.mark.slow
@pytest.mark.faults(2)
def test_a_run_goes_on_from_eight_devices_with_one_and_with_four(tmp_path: Path) -> None:
    for devices, steps in ((8, 3), (1, 5), (4, 8)):
        status, said = Child(tmp_path, f"--log-interval 1 --steps {steps}", devices=devices).ends()
        assert status == 0, said
        assert f"on {devices} " in said
    assert rows_of(tmp_path) == list(range(1, 9))


def test_a_forked_child_does_not_hold_the_lock_of_a_process_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline()
            with pytest.raises(lock.Held), lock.held(tmp_path):
                pass
            holder.kill()
            holder.wait(20)
            with lock.held(tmp_path):
                pass
        finally:
            os.killpg(holder.pid, signal.SIGKILL)


def test_no_conversion_overwrites_a_run_that_is_in_use(tmp_path: Path) -> None:
    file = test_convert.stored(tmp_path / "g.safetensors", G_ema=test_convert.tensors_of("dcgan", 0))
    run = convert(file, "dcgan", tmp_path / "run")
    before = checkpoint.saved_steps(run / "checkpoints")
    with lock.held(run), pytest.raises(FieldError, match=f"^run: {run}, but process {os.getpid()} on "):
        convert(file, "dcgan", run, overwrite=True)
    assert checkpoint.saved_steps(run / "checkpoints") == before


# ------------------------------------------------------------------------------------------------- signals, threads, hosts


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_while_the_first_step_is_compiled_ends_it_at_once(
    number: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiles, done = threading.Event(), threading.Event()

    def dispatched(*_: object) -> None:
        compiles.set()
        done.wait(60)  # as a compilation, it hears of nothing

    def send() -> None:
        compiles.wait(60)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(loop, "_dispatched", dispatched)
    threading.Thread(target=send).start()
    told = "stopped at step 0 before the next step was made; the same command goes on"
    with pytest.raises(Interrupted, match=f"^{told}$") as caught:
        train(TINY, tmp_path)
    assert not done.is_set()
    done.set()
    assert caught.value.status == status
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == []
    monkeypatch.undo()
    train(dataclasses.replace(TINY, steps=2), tmp_path)
    assert rows_of(tmp_path) == [2]


@pytest.mark.faults(3)
def test_a_signal_ends_what_is_no_training_and_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C clears up at once; after the others the next command that writes there does."""
    statuses = {signal.SIGINT: 130, signal.SIGTERM: -signal.SIGTERM, signal.SIGHUP: -signal.SIGHUP}
    started = {}
    for number in statuses:
        (tmp_path / number.name).mkdir()
        command = [sys.executable, "-c", SAMPLES, str(FIXTURE), str(tmp_path / number.name / "s.npz")]
        started[number] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for number, child in started.items():
        assert child.stdout is not None
        assert child.stdout.readline(), child.communicate(timeout=60)
        child.send_signal(number)
        child.communicate(timeout=60)
        assert child.returncode == statuses[number]
        assert not (tmp_path / number.name / "s.npz").exists()
        files.write(tmp_path / number.name / "next", b"")
        assert [path.name for path in (tmp_path / number.name).iterdir()] == ["next"]


def test_a_save_whose_folder_cannot_be_made_leaves_no_thread_to_wait_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_FOLDER, str(tmp_path / "saves"), str(Path(__file__).parent.parent)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)  # Orbax's threads would wait for 1,200 s
    assert "checkpoint 1 in" in ended.stdout, ended.stderr
    assert "was not written" in ended.stdout


def test_a_coordinator_that_nobody_answers_is_told_in_one_line() -> None:
    ended = subprocess.run([sys.executable, "-c", NOBODY], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 2
    assert ended.stderr == "jaxgan train: coordinator: 127.0.0.1:9, but not all processes came there within 2 s\n"


@pytest.mark.slow
def test_where_one_of_two_processes_dies_the_other_ends_with_a_word(tmp_path: Path) -> None:
    with test_hosts.processes(tmp_path / "run", 2, steps=2_000_000, log_interval=20) as started:
        test_hosts.wait_for_rows(tmp_path / "run", started)
        started[1].kill()
        ((status, _, said),) = test_hosts.ends(started[:1])
    assert status == 1, said
    assert said.splitlines()[-1].startswith("jaxgan train: another process is gone (")


# ------------------------------------------------------------------------------------------------------------------- readers


def test_a_checkpoint_that_goes_while_it_is_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with checkpoint.open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(test_checkpoint.make_state(1), wait=True)
    load = restoring.load

    def moves_on(directory: Path, step: int, *rest: object) -> object:
        if not (directory / f"{step + 1}").exists() and step < 4:  # training saves another, and this one goes bit by bit
            shutil.copytree(directory / f"{step}", directory / f"{step + 1}")
            (directory / f"{step}" / "_CHECKPOINT_METADATA").unlink()
            threading.Timer(0.1, shutil.rmtree, [directory / f"{step}"]).start()
        return load(directory, step, *rest)

    monkeypatch.setattr(restoring, "load", moves_on)
    with pytest.raises(FileNotFoundError, match=r"^step: 1, but .* holds 2 by now$"):
        checkpoint.restore(tmp_path, test_checkpoint.abstract(), step=1)
    state = checkpoint.restore(tmp_path, test_checkpoint.abstract())
    assert test_checkpoint.same(state, test_checkpoint.make_state(1))  # by way of 2 and 3 from 4, a copy
    assert not caplog.records


# ----------------------------------------------------------------------------------------------------------------------- NaN


def test_what_is_fit_to_be_saved() -> None:
    def with_weights(*values: float) -> jax.Array:
        return jnp.asarray(values)

    bad = SMALL._replace(d=SMALL.d._replace(params={"w": with_weights(1.0, jnp.nan, 1.0)}))
    assert finite.unfit(SMALL, several=False) is None
    assert finite.unfit(bad, several=False) == "d/params/w"
    infinite = SMALL._replace(g=SMALL.g._replace(opt={"best": jnp.asarray(jnp.inf)}))  # as reduce_on_plateau begins
    assert finite.unfit(infinite, several=False) is None
    lost = SMALL._replace(g=SMALL.g._replace(opt={"m": jnp.asarray(jnp.nan)}))
    assert finite.unfit(lost, several=False) == "moments/g/m"
    both, none = (jax.tree.map(lambda *x: jnp.stack(x), one, bad) for one in (SMALL, bad))
    assert finite.unfit(both, several=True) is None  # one of the two is right
    assert finite.unfit(none, several=True) == "d/params/w"


def test_a_run_that_went_back_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    recipe = BREAKS
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(recipe, whole)
    (change,) = json.loads((whole / "recipe.json").read_text())["changes"]
    train(dataclasses.replace(recipe, steps=8), parts)
    train(recipe, parts)
    assert change["step"] == 4
    assert kill_and_resume.differing_leaves(whole, parts) == []
    rows = [json.loads(line) for line in (parts / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("rollbacks", 0) for row in rows] == [int(row["step"] > change["step"]) for row in rows]


def test_parameters_that_are_lost_in_the_last_step_are_not_saved(tmp_path: Path) -> None:
    """Losses are those before the update, so that they say nothing of it."""

    def update(grads: optax.Updates, count: jax.Array, params: object = None) -> tuple[optax.Updates, jax.Array]:
        return jax.tree.map(lambda x: jnp.where(count == 3, jnp.nan, -0.01 * x), grads), count + 1

    globals()["LOSES"] = optax.GradientTransformation(lambda _: jnp.zeros((), jnp.int32), update)
    recipe = dataclasses.replace(TINY, g_optimizer=globals()["LOSES"])
    with pytest.raises(Diverged, match=r"^diverged before step 4: g/\S+ is not finite; the last good checkpoint is 2; "):
        train(recipe, tmp_path)
    assert checkpoint.saved_steps(tmp_path / "checkpoints") == [2]
