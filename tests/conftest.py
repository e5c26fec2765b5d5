"""Two virtual CPU devices, quick compilation and strict ranks, set before jax is first imported; a small run to share."""

import atexit
import gc
import os
import shutil
import tempfile
from importlib.metadata import version

# What tests compile runs for milliseconds: the compiler's own time is what counts, and machine code need not be good.
# All of XLA's passes over the program run as ever; machine code is made of it without optimisation, in one piece, and by the
# simpler of the two emitters of fused loops while there are two. That takes a fifth of the time. Tests that start processes
# hand it on.
_QUICK = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if version("jaxlib").startswith("0.10."):  # XLA refuses to start with a flag that it does not know
    _QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK} --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# One cache of compiled programs for a session: its workers and the processes that tests start compile each program once.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _programs = tempfile.mkdtemp(prefix="jaxgan-tests-")
    atexit.register(shutil.rmtree, _programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Traced programs are millions of objects that stay: Python would go through all of them a hundred times, a tenth of the time.
gc.set_threshold(50_000, 50, 1_000)

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxgan import recipes
from jaxgan.recipes import MLP, Data, MLPDiscriminator, Recipe

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's caches."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["JAXGAN_CACHE"] = str(folder)
    os.environ["TFDS_DATA_DIR"] = str(folder / "tensorflow_datasets")


# Files whose tests take most of the time; the others are the fast subset, `pytest -m fast`.
_WORDS = """
    devices hosts resume r3gan notebooks open_house protocol sweep train cli options evaluate_images evaluate theory
    mixtures typing convert bench portable stylegan2 stylegan2_reference sngan dcgan layers bridges features
    data_processes data_units extractors docs_build life endings files fuzz gan plan augment data_truth checkpoint
    readme_commands report explore inception verdict conditions terms generated resnet whitened efficientnet_lite
    onnx page hub project interpolate directions_command path_length mixing
"""
_LONG = set(_WORDS.split())


def pytest_configure(config: pytest.Config) -> None:
    """Has several processes take files in their order; by number of tests, the longest would come last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the fast subset, and puts it last, so that no process waits long for another at the end."""
    for item in items:
        long = _is_long(item) or {"slow", "real_data"} & {each.name for each in item.iter_markers()}
        if not long:
            item.add_marker("fast")
    items.sort(key=lambda item: not _is_long(item))


def _is_long(item: pytest.Item) -> bool:
    return item.path.stem.removeprefix("test_") in _LONG


_started: list["subprocess.Popen[Any]"] = []


class _Noted(subprocess.Popen):
    """A child process that is known, so that none outlives the test that started it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _started.append(self)


vars(subprocess)["Popen"] = _Noted


@pytest.fixture(autouse=True)
def _no_child_outlives_its_test() -> Iterator[None]:
    """Kills what a test that failed or timed out left running: it would slow and break those after it."""
    yield
    for process in _started:
        if process.poll() is None:
            process.kill()
            process.wait(20)
    _started.clear()


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return recipes.check(
        Recipe(
            data=Data("digits", conditional=True),
            generator=MLP(width=8, depth=1, latent_dim=8),
            discriminator=MLPDiscriminator(width=8, depth=1),
            batch_size=8,
            steps=12,
            log_interval=4,
            sample_interval=6,
            checkpoint_interval=6,
        )
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of digits, conditional, seconds long. Tests that change it copy it first."""
    from jaxgan.training.train import train

    return train(tiny_recipe, tmp_path_factory.mktemp("runs") / "tiny").path
