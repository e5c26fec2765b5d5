"""Directions of codes whose answers are known."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.latent import directions as axes
from jaxgan.system.messages import FieldError

RNG = np.random.default_rng(0)
TURN = np.linalg.qr(RNG.normal(size=(6, 6)))[0]  # rows are an orthonormal basis
SIZES = np.array([5.0, 3.0, 2.0, 1.0, 0.5, 0.1])


def along(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(abs(found @ wanted))


def test_principal_directions_are_those_of_most_variance() -> None:
    codes = (RNG.normal(size=(20_000, 6)) * SIZES) @ TURN
    found = axes.principal(codes, 3)
    assert found.vectors.shape == (3, 6)
    assert min(along(found.vectors[i], TURN[i]) for i in range(3)) > 0.99
    np.testing.assert_allclose(found.values, SIZES[:3] ** 2, rtol=0.05)
    assert (found.vectors[np.arange(3), np.abs(found.vectors).argmax(axis=1)] > 0).all()  # of each pair one, always the same


def test_sensitive_directions_and_the_factorisation_agree_where_the_generator_is_linear() -> None:
    weights = (TURN.T * SIZES).astype(np.float32)  # image = z W: a step along TURN[i] changes it by SIZES[i]
    sensitive = axes.sensitive(lambda z: (z @ weights).reshape(-1, 2, 3), jnp.zeros((4, 6)), 4)
    factorised = axes.factorised(weights.T, 4)
    for i in range(4):
        assert along(sensitive.vectors[i], weights[:, i] / SIZES[i]) > 0.999
        assert along(sensitive.vectors[i], factorised.vectors[i]) > 0.999
    np.testing.assert_allclose(sensitive.values, SIZES[:4] ** 2, rtol=1e-3)


def test_the_derivative_is_the_mean_over_codes() -> None:
    codes = jax.random.normal(jax.random.key(0), (5, 3))

    def images(z: jax.Array) -> jax.Array:
        return jnp.sin(z @ jnp.arange(12.0).reshape(3, 4))

    jacobians = jax.vmap(jax.jacobian(lambda z: images(z[None])[0]))(codes)
    wanted = np.einsum("nij,nik->jk", jacobians, jacobians) / 5
    np.testing.assert_allclose(axes.gram(images, codes), wanted, rtol=1e-4)


def test_a_number_and_a_kind_have_their_direction() -> None:
    codes = RNG.normal(size=(3_000, 6))
    found = axes.regressed(codes, codes @ TURN[2] + 0.5 * RNG.normal(size=3_000))
    assert float(found.vectors[0] @ TURN[2]) > 0.99
    assert found.values[0] == pytest.approx(0.8, abs=0.03)
    kinds = axes.separated(codes, codes @ TURN[1] + 0.2 * RNG.normal(size=3_000) > 1.0)  # a sixth is of the second kind
    assert float(kinds.vectors[0] @ TURN[1]) > 0.98
    assert 0.9 < kinds.values[0] < 1.0
    np.testing.assert_allclose(np.linalg.norm(kinds.vectors, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda x: axes.principal(x, 9), "count: 9, but it must be from 1 to 6, the length of a latent"),
        (lambda x: axes.principal(x * np.nan, 2), "codes: values that are not finite; each must be a number"),
        (lambda x: axes.principal(x[0], 2), "codes: of shape [6], but they must be [N, D]"),
        (lambda x: axes.regressed(x, np.ones(30)), "function: 1 for every image, but it must tell images apart"),
        (
            lambda x: axes.regressed(x, np.ones(3)),
            "function: float64 [3] for 30 images, but it must return one number each, [30]",
        ),
        (lambda x: axes.regressed(x, np.full(30, np.inf)), "function: values that are not finite; it must return numbers"),
        (lambda x: axes.separated(x, np.ones(30)), "labels: 30 latents of one kind, but there must be latents of both"),
    ],
)
def test_mistakes(make: Callable[[np.ndarray], object], told: str) -> None:
    with pytest.raises(FieldError) as error:
        make(RNG.normal(size=(30, 6)))
    assert str(error.value) == told
