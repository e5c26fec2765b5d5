"""The law of codes: uniform codes stay in their cube, those of a sphere on it, normal ones near their shell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import latents
from jaxgan.latent.law import kept, law_of

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", ["normal", "uniform", "sphere"])
def test_codes_from_far_come_back_and_those_that_were_drawn_stay(name: str) -> None:
    drawn = getattr(latents, name)(KEY, (2_000, 16))
    law = law_of(drawn)
    np.testing.assert_allclose(kept(law, drawn), drawn, atol=1e-5)
    back = kept(law, 5.0 * drawn)
    norms, own = jnp.linalg.norm(back, axis=1), jnp.linalg.norm(drawn, axis=1)
    assert own.min() - 1e-4 <= norms.min()
    assert norms.max() <= own.max() + 1e-4
    assert jnp.abs(back).max() <= jnp.abs(drawn).max() + 1e-5
    if name == "sphere":
        np.testing.assert_allclose(norms, 4.0, rtol=1e-5)
    assert bool(law.concentrated)


def test_norms_of_few_dimensions_do_not_concentrate_and_layers_are_codes_of_their_own() -> None:
    assert not bool(law_of(jax.random.normal(KEY, (2_000, 2))).concentrated)
    styles = jax.random.normal(KEY, (500, 3, 8)) * jnp.array([1.0, 2.0, 4.0])[None, :, None]
    law = law_of(styles)
    assert law.mean.shape == (3, 8)
    assert law.norms[1].shape == (3, 1)
    far = kept(law, 9.0 * styles)
    norms = jnp.linalg.norm(far, axis=-1).max(axis=0)
    assert bool((norms <= law.norms[1][:, 0] + 1e-3).all())
    constant = law_of(jnp.ones((10, 4)))
    assert bool((constant.deviation == 1.0).all())  # not zero: it is divided by, and steps are measured in it
