"""Between two classes: exactly the generator's own at the ends, and in between what its labels become first is mixed."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import recipes
from jaxgan.latent.mixing import mixed
from jaxgan.training.dataset import Shape

KEY = jax.random.key(0)
TABLE = jax.random.normal(KEY, (4, 5))
FIRST, SECOND = jnp.array([0, 2]), jnp.array([3, 1])


@pytest.mark.parametrize(
    "embed",
    [
        lambda labels: TABLE[labels],
        lambda labels: jnp.take(TABLE, labels, axis=0),
        lambda labels: jax.nn.one_hot(labels, 4) @ TABLE,
        jax.jit(lambda labels: jax.checkpoint(lambda x: TABLE[x])(labels)),
    ],
)
def test_whatever_way_a_network_embeds_its_labels_the_rows_are_mixed(embed: Any) -> None:
    found = jax.jit(lambda share: mixed(lambda labels: jnp.tanh(embed(labels)), FIRST, SECOND, share))(jnp.float32(0.25))
    np.testing.assert_allclose(found, jnp.tanh(0.75 * TABLE[FIRST] + 0.25 * TABLE[SECOND]), atol=1e-6)


def test_a_function_without_labels_and_a_choice() -> None:
    np.testing.assert_array_equal(mixed(lambda labels: jnp.ones((len(labels), 2)), FIRST, SECOND, jnp.float32(0.5)), 1.0)
    whole = mixed(lambda labels: labels * 2, FIRST, SECOND, jnp.float32(0.5))
    np.testing.assert_allclose(whole, FIRST + SECOND)
    gated = mixed(
        lambda labels: jax.lax.cond(labels[0] == 0, lambda: jnp.zeros(2), lambda: jnp.ones(2)), FIRST, SECOND, jnp.float32(0.5)
    )
    np.testing.assert_allclose(gated, 0.5)


@pytest.mark.parametrize("part", ["MLP", "DCGAN", "SNGAN", "ResNet", "R3GAN", "StyleGAN2"])
def test_the_librarys_own_networks_are_themselves_at_the_ends_and_others_between(part: str) -> None:
    small = {"R3GAN": {"widths": (8,) * 4, "groups": (2,) * 4, "blocks": (1,) * 4}, "StyleGAN2": {"channel_base": 64}}
    made = getattr(recipes, part)(**small.get(part, {} if part == "MLP" else {"width": 8}))
    network = made.build(Shape((32, 32, 3), 4))
    weights = jax.jit(network.init)(KEY)
    z = jax.random.normal(KEY, (2, made.latent_dim))

    def of(labels: jax.Array) -> jax.Array:
        return network.apply(*weights, z, labels, KEY, train=False)[0]

    @jax.jit
    def images(share: jax.Array) -> jax.Array:
        return mixed(of, FIRST, SECOND, share)

    own = [jax.jit(of)(labels) for labels in (FIRST, SECOND)]
    for share, wanted in zip((0.0, 1.0), own, strict=True):
        np.testing.assert_allclose(images(jnp.float32(share)), wanted, atol=2e-4)
    between = images(jnp.float32(0.5))
    if part in ("R3GAN", "ResNet"):  # its last layers are zero at first
        return
    fade = (own[0] + own[1]) / 2
    assert float(jnp.abs(between - fade).max()) > 1e-4  # no cross-fade of the images


def test_a_network_of_a_users() -> None:
    class Own(nn.Module):
        @nn.compact
        def __call__(self, z: jax.Array, labels: jax.Array) -> jax.Array:
            return nn.Dense(3)(nn.gelu(z * nn.Embed(4, 5)(labels)))

    z = jax.random.normal(KEY, (2, 5))
    params = Own().init(KEY, z, FIRST)
    table = params["params"]["Embed_0"]["embedding"]
    found = mixed(lambda labels: Own().apply(params, z, labels), FIRST, SECOND, jnp.float32(0.5))
    mean = (table[FIRST] + table[SECOND]) / 2
    wanted = nn.Dense(3).apply({"params": params["params"]["Dense_0"]}, nn.gelu(z * mean))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
