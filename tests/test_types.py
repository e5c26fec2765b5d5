"""The records, and what a loss says of itself."""

import jax
import jax.numpy as jnp
import pytest

from jaxgan.core.types import GAN, GANState, Loss, Network, Player, Weights

softplus = jax.nn.softplus


def d(real, fake):
    return softplus(-real) + softplus(fake)


BLIND = {
    "non-saturating": lambda real, fake: softplus(-fake),
    "saturating": lambda real, fake: -softplus(fake),
    "hinge": lambda real, fake: -fake,
    "least squares": lambda real, fake: (fake - 1.0) ** 2,
}
SEEING = {
    "relativistic": lambda real, fake: softplus(real - fake),
    "relativistic average": lambda real, fake: softplus(real.mean() - fake) + softplus(real - fake.mean()),
    "only in the mean": lambda real, fake: jnp.maximum(real.mean(), 0.0) - fake,
    "under jit": jax.jit(lambda real, fake: softplus(real - fake)),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_loss_that_ignores_real_logits_is_not_relativistic(name):
    assert Loss(d, BLIND[name]).relativistic is False


@pytest.mark.parametrize("name", SEEING)
def test_a_loss_that_looks_at_them_is(name):
    assert Loss(d, SEEING[name]).relativistic is True


def test_only_the_loss_of_g_counts():
    assert Loss(d=SEEING["relativistic"], g=BLIND["hinge"]).relativistic is False


def test_a_network_couples_unless_it_says_otherwise():
    assert Network(init=lambda key: ({}, {}), apply=lambda *_, train: None).depends_on_batch is True


def test_a_state_is_a_pytree_of_its_arrays():
    state = GANState(
        step=jnp.int32(3),
        g=Player({"w": jnp.ones(2)}, {}, ()),
        d=Player({"w": jnp.ones(3)}, {"mean": jnp.ones(4)}, ()),
        ema=Weights({"w": jnp.ones(2)}, {}),
        memory={"augment_strength": jnp.zeros(())},
    )
    assert [leaf.size for leaf in jax.tree.leaves(state)] == [1, 2, 3, 4, 2, 1]
    assert state._fields == ("step", "g", "d", "ema", "memory")  # the order is the layout of a checkpoint
    assert GAN._fields == ("init", "step", "sample")
