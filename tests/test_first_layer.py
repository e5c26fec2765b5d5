"""The first weights of a function, found without its names: of linen, of plain JAX, under jit, of several layers, of none."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import recipes
from jaxgan.latent.first_layer import first_weights
from jaxgan.training.dataset import Shape

KEY = jax.random.key(0)
A, B = (np.asarray(jax.random.normal(jax.random.fold_in(KEY, i), (3, 5))) for i in range(2))

SMALL = {"R3GAN": {"widths": (8,) * 4, "groups": (2,) * 4, "blocks": (1,) * 4}}


def same(found: np.ndarray | None, *wanted: np.ndarray) -> None:
    assert found is not None
    np.testing.assert_allclose(found, np.concatenate([each.T for each in wanted]), atol=1e-5)


def test_moves_are_followed_and_what_bends_is_not() -> None:
    same(first_weights(lambda z: jnp.tanh(z @ A) @ B.T, (3,)), A)
    same(first_weights(lambda z: nn.relu((2.0 * z.reshape(-1, 1, 3)[:, 0] + 1.0) @ A), (3,)), 2.0 * A)
    same(first_weights(jax.jit(lambda z: jax.checkpoint(lambda x: x @ A)(z)), (3,)), A)
    same(first_weights(lambda z: (z @ A) * jnp.tanh(z @ B), (3,)), A, B)  # as where z enters every layer
    label = jnp.arange(2.0)
    joined = np.concatenate([A, np.ones((2, 5), np.float32)])
    same(first_weights(lambda z: jnp.concatenate([z, jnp.tile(label, (len(z), 1))], axis=1) @ joined, (3,)), A)
    assert first_weights(lambda z: jnp.tanh(z) @ A, (3,)) is None
    assert first_weights(lambda z: z * 2.0, (3,)) is None
    assert first_weights(lambda z: (z @ A) if z is None else jnp.sin(z), (3,)) is None


def test_branches() -> None:
    same(first_weights(lambda z: jax.lax.cond(True, lambda x: x @ A, lambda x: x @ B, z), (3,)), A)
    same(first_weights(lambda z: jax.lax.platform_dependent(z, cpu=lambda x: x @ A, default=lambda x: x @ A), (3,)), A)


@pytest.mark.parametrize("part", ["MLP", "DCGAN", "SNGAN", "ResNet", "R3GAN"])
def test_the_librarys_own_networks(part: str) -> None:
    made = getattr(recipes, part)(**SMALL.get(part, {}))
    network: Any = made.build(Shape((32, 32, 3), 0))
    weights = network.init(KEY)
    labels = jnp.zeros(made.latent_dim + 1, jnp.int32)
    found = first_weights(lambda z: network.apply(*weights, z, labels, KEY, train=False)[0], (made.latent_dim,))
    assert found is not None
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(weights[0])]
    norms = [np.linalg.norm(each) for leaf in leaves for each in (leaf, leaf[: made.latent_dim])]
    assert np.isclose(norms, np.linalg.norm(found), rtol=1e-3).any()  # it is one of the network's, or the part of it for z
