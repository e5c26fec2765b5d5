"""Schedules at their ends, in the middle and against published values; scheduled optimizers against plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.core.schedules import cosine, linear, ramp, scheduled


def at(schedule, *images):
    return np.array([schedule(jnp.float32(n)) for n in images])


def test_cosine_at_its_ends_and_its_middle():
    np.testing.assert_allclose(at(cosine(2.0, 1.0, 100.0), 0, 50, 100, 1e9), [2.0, 1.5, 1.0, 1.0], rtol=1e-6)
    quarter = 1.0 + 0.5 * (1.0 + np.sqrt(0.5))
    np.testing.assert_allclose(at(cosine(2.0, 1.0, 100.0), 25), quarter, rtol=1e-6)


def test_cosine_rises_as_well_as_it_falls():
    np.testing.assert_allclose(at(cosine(0.0, 4.0, 10.0), 0, 5, 10, 11), [0.0, 2.0, 4.0, 4.0], atol=1e-6)


def test_cosine_waits_while_warm():
    np.testing.assert_allclose(at(cosine(2.0, 1.0, 100.0, warm=40.0), 0, 40, 70, 100), [2.0, 2.0, 1.5, 1.0], rtol=1e-6)


# What the published configuration of R3GAN on CIFAR-10 evaluates to at these numbers of images shown.
IMAGES = (0.0, 512.0, 1e5, 1e6, 5e6, 1e7, 1.5e7, 2e7, 20_000_001.0, 3e8)
R3GAN = {
    (2e-4, 5e-5): (2e-4, 2e-4, 1.99990747e-4, 1.99076626e-4, 1.78033009e-4, 1.25e-4, 7.19669914e-5, 5e-5, 5e-5, 5e-5),
    (0.05, 0.005): (0.05, 0.05, 0.0499972242, 0.0497229877, 0.0434099026, 0.0275, 0.0115900974, 0.005, 0.005, 0.005),
    (0.9, 0.99): (0.9, 0.9, 0.900005552, 0.900554025, 0.913180195, 0.945, 0.976819805, 0.99, 0.99, 0.99),
    (0.0, 0.55): (0.0, 8.89369833e-10, 3.39260675e-5, 0.00338570634, 0.0805456352, 0.275, 0.469454365, 0.55, 0.55, 0.55),
    (0.0, 5e6): (0.0, 0.0080851803, 308.418796, 30779.1485, 732233.047, 2.5e6, 4267766.95, 5e6, 5e6, 5e6),
}


@pytest.mark.parametrize("ends", R3GAN)
def test_cosine_is_the_published_schedule_of_r3gan(ends):
    # Margin: float32 loses the first digits of 1 - cos near 0, 6e-8 of the range.
    span = abs(ends[1] - ends[0])
    np.testing.assert_allclose(at(cosine(*ends, 2e7), *IMAGES), R3GAN[ends], rtol=1e-6, atol=2e-7 * span)


def test_cosine_is_the_published_formula():
    base, final, length = 150.0, 15.0, 2e7
    for n in np.linspace(0.0, length, 17):
        d = (1.0 + np.cos(np.pi * n / length)) / 2.0
        np.testing.assert_allclose(at(cosine(base, final, length), n), base + (1.0 - d) * (final - base), rtol=1e-6)


def test_linear():
    np.testing.assert_allclose(at(linear(1.0, 3.0, 10.0), 0, 2.5, 5, 10, 1e9), [1.0, 1.5, 2.0, 3.0, 3.0], rtol=1e-6)


def test_ramp():
    np.testing.assert_allclose(at(ramp(500.0, 0.05), 0, 100, 10_000, 10_001, 1e9), [0.0, 5.0, 500.0, 500.0, 500.0])


@pytest.mark.parametrize("schedule", [cosine(1.0, 0.5, 100.0), linear(1.0, 0.5, 100.0), ramp(70.0, 0.5)])
def test_a_schedule_is_a_float32_scalar_under_jit(schedule):
    value = jax.jit(schedule)(jnp.float32(50.0))
    assert value.dtype == jnp.float32
    assert value.shape == ()
    np.testing.assert_allclose(value, schedule(jnp.float32(50.0)), rtol=1e-6)


def test_a_schedule_of_no_length_is_at_its_end():
    for schedule in (cosine(2.0, 1.0, 0.0), linear(2.0, 1.0, 0.0)):
        assert np.isfinite(at(schedule, 0)).all()
        np.testing.assert_allclose(at(schedule, 1), 1.0)


def test_scheduled_adam_is_adam_with_those_values():
    learning_rate, b2 = linear(1e-1, 1e-3, 40.0), cosine(0.9, 0.99, 40.0)
    optimizer = scheduled(optax.adam, learning_rate=learning_rate, b1=0.5, b2=b2)
    params = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.float32(0.5)}
    opt = optimizer.init(params)
    update = jax.jit(lambda grads, opt, params, images: optimizer.update(grads, opt, params, images=images))
    plain, m, v = params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
    state = optax.adam(1.0).init(params)
    for i in range(6):
        images = jnp.float32(8.0 * i)
        rate, decay = float(learning_rate(images)), float(b2(images))
        grads = jax.tree.map(lambda x, i=i: jnp.sin(x + i), params)
        change, opt = update(grads, opt, params, images)
        params = optax.apply_updates(params, change)

        step = optax.adam(rate, b1=0.5, b2=decay)
        grads = jax.tree.map(lambda x, i=i: jnp.sin(x + i), plain)
        change, state = step.update(grads, state, plain)
        # Kingma and Ba 2015, algorithm 1, with the beta2 of the moment in the bias correction.
        m = jax.tree.map(lambda m, g: 0.5 * m + 0.5 * g, m, grads)
        v = jax.tree.map(lambda v, g, b=decay: b * v + (1 - b) * g * g, v, grads)
        by_hand = jax.tree.map(
            lambda m, v, i=i, b=decay, r=rate: -r * (m / (1 - 0.5 ** (i + 1))) / (jnp.sqrt(v / (1 - b ** (i + 1))) + 1e-8),
            m,
            v,
        )
        plain = optax.apply_updates(plain, change)
        for name in params:
            np.testing.assert_allclose(change[name], by_hand[name], rtol=2e-5)
            np.testing.assert_allclose(params[name], plain[name], rtol=2e-5)
    assert jax.tree.structure(opt) == jax.tree.structure(optimizer.init(params)), (
        "the state is Adam's own, so that it can be saved"
    )


def test_scheduled_passes_constants_through():
    optimizer = scheduled(optax.sgd, learning_rate=0.5)
    params = jnp.array([1.0, 2.0])
    change, _ = optimizer.update(params, optimizer.init(params), params, images=jnp.float32(0.0))
    np.testing.assert_allclose(change, [-0.5, -1.0])


def test_a_chain_with_a_scheduled_part_is_told_the_images_too():
    optimizer = optax.chain(optax.clip(1.0), scheduled(optax.sgd, learning_rate=linear(1.0, 0.0, 10.0)))
    params = jnp.array([5.0])
    change, _ = optimizer.update(params, optimizer.init(params), params, images=jnp.float32(5.0))
    np.testing.assert_allclose(change, [-0.5])
