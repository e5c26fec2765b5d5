"""Two processes that train one run: the real command line, over the loopback interface."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxgan.recipes import code
from jaxgan.training import checkpoint, runs

PATIENCE = 300  # seconds, on a machine that is busy with other tests
OPTIONS = {
    "generator": "mlp",
    "generator.width": 8,
    "generator.depth": 1,
    "generator.latent-dim": 8,
    "discriminator": "mlp",
    "discriminator.width": 8,
    "discriminator.depth": 1,
    "batch-size": 8,
    "sample-interval": 1_000_000,
    "checkpoint-interval": 1_000_000,
}


def command(run: Path, **options: object) -> list[str]:
    fields = OPTIONS | {name.replace("_", "-"): value for name, value in options.items()}
    words = [word for name, value in fields.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "jaxgan", "train", "digits", "--run", str(run), *words]


def alone() -> dict[str, str]:
    """The environment of a process with one device; of two values of a flag XLA takes the last."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


@contextmanager
def processes(run: Path, count: int, **options: object) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes that train one run, with one device each; killed in the end where they still live."""
    with launched(command(run, **options), count) as started:
        yield started


@contextmanager
def launched(words: list[str], count: int, cache: Path | None = None) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes that are given the same words, with one device each; killed in the end where they still live."""
    where = f"127.0.0.1:{free_port()}"
    several = [["--distributed", "--coordinator", where, "--processes", str(count), "--process", str(i)] for i in range(count)]
    commands = [[*words, *each] for each in several] if count > 1 else [words]
    environment = alone() | ({} if cache is None else {"JAXGAN_CACHE": str(cache / "cache")})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    started = [subprocess.Popen(each, **pipes) for each in commands]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def ends(started: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Status, stdout and stderr of each."""
    told = [process.communicate(timeout=PATIENCE) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, told, strict=True)]


def rows(run: Path) -> list[dict[str, float]]:
    file = run / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")] if file.exists() else []


def wait_for_rows(run: Path, started: list[subprocess.Popen[str]], count: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(rows(run)) < count:
        assert all(process.poll() is None for process in started), ends(started)
        assert time.monotonic() < deadline, "no row of metrics"
        time.sleep(0.05)  # between two looks at a file; what is waited for is the row


def test_two_processes_train_as_one_does(tmp_path):
    for name, count in (("one", 1), ("two", 2)):
        with processes(tmp_path / name, count, steps=20, log_interval=1) as started:
            found = ends(started)
        assert [status for status, _, _ in found] == [0] * count, found
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in two] == list(range(1, 21))
    for a, b in zip(one, two, strict=True):
        for loss in ("d_loss", "g_loss"):
            np.testing.assert_allclose(b[loss], a[loss], rtol=1e-6, atol=1e-6)
    # The second process of the last pair is silent, and everything is written once.
    assert "step 20/20" in found[0][2]
    assert "step" not in found[1][2]
    assert checkpoint.saved_steps(tmp_path / "two" / "checkpoints") == [20]


def test_a_signal_to_one_stops_both_which_save_together_and_one_or_two_go_on(tmp_path):
    run = tmp_path / "run"
    with processes(run, 2, steps=2_000_000, log_interval=20) as started:
        wait_for_rows(run, started)
        started[1].send_signal(signal.SIGTERM)
        found = ends(started)
    assert [status for status, _, _ in found] == [143, 143], found
    (stopped,) = checkpoint.saved_steps(run / "checkpoints")
    assert f"stopped at step {stopped} and saved" in found[0][2]

    with processes(run, 1, steps=stopped + 7, log_interval=1) as started:
        ((status, _, said),) = ends(started)
    assert status == 0, said
    assert f"going on from step {stopped}" in said

    with processes(run, 2, steps=stopped + 12, log_interval=1) as started:
        found = ends(started)
    assert [status for status, _, _ in found] == [0, 0], found
    assert f"going on from step {stopped + 7}" in found[0][2]
    assert checkpoint.saved_steps(run / "checkpoints")[-1] == stopped + 12
    assert [row["step"] for row in rows(run)][-12:] == list(range(stopped + 1, stopped + 13))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--processes", "2"], "distributed: False, but"),
        (["--distributed", "--coordinator", "here"], "coordinator: here, but it must be HOST:PORT"),
        (["--distributed", "--coordinator", "127.0.0.1:1", "--processes", "2", "--process", "2"], "process: 2, but"),
    ],
)
def test_what_cannot_be_joined_is_told_in_one_line(tmp_path, words, message):
    run = tmp_path / "run"
    words = [*command(run), *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False, env=alone())
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not run.exists()


def test_two_processes_go_on_with_code_of_the_user_s_own(tmp_path):
    """Bit for bit as two that were never stopped, by the run's name and by the file's."""
    shutil.copy(Path(__file__).parent / "examples" / "spiral.py", tmp_path)
    file, run, whole = tmp_path / "spiral.py", tmp_path / "run", tmp_path / "whole"
    states = []
    for words in (
        ["--run", str(run), "--steps", "4"],
        ["--run", str(run), "--steps", "8"],
        ["--run", str(whole), "--steps", "8"],
    ):
        with launched([sys.executable, "-m", "jaxgan", "train", str(file), *words], 2, tmp_path) as started:
            found = ends(started)
        assert [status for status, _, _ in found] == [0, 0], found
    assert "callback at step 8" in found[0][1]
    assert "callback" not in found[1][1]
    code.remember(file)
    for path in (run, whole):
        opened = runs.read(path)
        states.append(jax.tree.leaves(runs.restore(opened, opened.experiment())))
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_mistake_in_both_is_told_by_one(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stranger").touch()
    with processes(tmp_path / "run", 2, steps=4) as started:
        found = ends(started)
    assert [status for status, _, _ in found] == [2, 2], found
    assert sum("holds files but no recipe.json" in said for _, _, said in found) == 1
