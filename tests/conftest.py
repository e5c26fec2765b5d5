"""Two virtual CPU devices and strict ranks, set before jax is first imported; and one small run that tests share."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import jax
import pytest

from jaxgan import recipes
from jaxgan.recipes import Data, Discriminator, Generator, Recipe

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's caches."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["JAXGAN_CACHE"] = str(folder)
    os.environ["TFDS_DATA_DIR"] = str(folder / "tensorflow_datasets")


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return recipes.check(
        Recipe(
            data=Data("digits", conditional=True),
            generator=Generator("mlp", width=8, depth=1, latent_dim=8),
            discriminator=Discriminator("mlp", width=8, depth=1),
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
    from jaxgan.train import train

    return train(tiny_recipe, tmp_path_factory.mktemp("runs") / "tiny").path
