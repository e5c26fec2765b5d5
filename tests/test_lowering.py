"""Every recipe's step and sampler can be compiled for GPUs and TPUs, as far as that is decided without one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from jaxgan.commands.plan import data_shape
from jaxgan.recipes import NAMES, preset
from jaxgan.training.dataset import given_of
from jaxgan.training.experiment import build

PLATFORMS = ("cuda", "tpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_step_and_a_sample_are_lowered_for_accelerators(name: str) -> None:
    """Lowering chooses each operation's form for its platform: one that a platform lacks fails here.

    Repeated operations are traced once: one block a stage, one update of D.
    """
    recipe = preset(name)
    for player in ("generator", "discriminator"):
        if hasattr(part := getattr(recipe, player), "widths") and hasattr(part, "blocks"):
            recipe = replace(recipe, **{player: replace(part, blocks=(1,) * len(part.widths))})
    recipe = replace(recipe, disc_steps=1)
    shape, _ = data_shape(recipe)
    experiment = build(recipe, shape=shape)
    count = experiment.rows
    of_each = "condition" if shape.condition is not None else "label"
    batch = {
        "image": jax.ShapeDtypeStruct((count, *shape.sample), jnp.float32),
        of_each: given_of(shape, count),
    }
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = experiment.abstract_one
    step = jax.jit(experiment.one.step).trace(state, batch, key).lower(lowering_platforms=PLATFORMS)
    sample = jax.jit(experiment.one.sample).trace(state.ema, key, given_of(shape, 4)).lower(lowering_platforms=PLATFORMS)
    for lowered in (step, sample):
        assert "stablehlo" in lowered.as_text()[:2000]
