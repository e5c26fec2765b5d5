"""Codes of z, W and W+: the same image from each, and spaces that a generator does not have."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import mapped

from jaxgan.core import gan, latents
from jaxgan.core.types import Weights
from jaxgan.latent import spaces
from jaxgan.system.messages import FieldError

KEY = jax.random.key(3)


class Draws:
    latent_dim = 5

    def __init__(self, network: Any, latent: Any = latents.sphere) -> None:
        self.generator, self.latent = network, latent


def test_every_space_makes_the_same_image() -> None:
    draws = Draws(mapped.generator((4, 4, 1), 3, 5))
    weights = Weights(*draws.generator.init(KEY))
    z, labels = latents.sphere(KEY, (6, 5)), jnp.arange(6) % 3
    wanted = gan.sample(draws, weights, KEY, labels, z=z)
    assert spaces.layers_of(draws, weights, z, labels) == 2
    shapes = {"z": (6, 5), "w": (6, 6), "w+": (6, 2, 6)}
    for space, shape in shapes.items():
        spaces.check(draws, space)
        codes = spaces.codes_of(draws, space, weights, KEY, z, labels)
        assert codes.shape == shape
        np.testing.assert_allclose(spaces.images_of(draws, space, weights, KEY, codes, labels, 2), wanted, atol=1e-6)


def test_spaces_that_are_not_there() -> None:
    plain = Draws(mapped.generator((4, 4, 1), 0, 5)._replace(map=None))
    with pytest.raises(FieldError, match=r"^space: w, but this generator has no mapping to styles; its space is z$"):
        spaces.check(plain, "w")
    with pytest.raises(FieldError, match="space: 'v' is not one of z, w, w"):
        spaces.check(plain, "v")
    whole = Draws(plain.generator, lambda key, shape: jax.random.randint(key, shape, 0, 2))
    with pytest.raises(FieldError, match="this generator's z are int32, between which there is no way"):
        spaces.check(whole, "z")
