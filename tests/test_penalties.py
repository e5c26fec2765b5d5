import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.core import losses, penalties, types
from jaxgan.core.gan import make_gan
from jaxgan.nets.linen import from_linen

ALL = {
    "none": penalties.none,
    "r1": penalties.r1,
    "r2": penalties.r2,
    "r1_r2": penalties.r1_r2,
    "gradient_penalty": penalties.gradient_penalty,
    "dragan": penalties.dragan,
}
KEY = jax.random.key(3)
REAL, FAKE = jax.random.normal(jax.random.key(0), (2, 6, 4, 4, 2))
FLAT_REAL, FLAT_FAKE = REAL.reshape(6, -1), FAKE.reshape(6, -1)
W = 0.3 * jax.random.normal(jax.random.key(1), (4, 4, 2))
NORM = float(jnp.sqrt(jnp.square(W).sum()))


def linear(w):
    return lambda x: (x * w[None]).sum((1, 2, 3)) + 5.0


def smooth(w):
    """A critic with curvature, so that where the gradient is taken matters."""
    return lambda x: jnp.tanh((x * w[None]).sum((1, 2, 3))) + 0.1 * (x**3).sum((1, 2, 3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("none", 0.0),
        ("r1", NORM**2 / 2),
        ("r2", NORM**2 / 2),
        ("r1_r2", NORM**2),
        ("gradient_penalty", (NORM - 1) ** 2),
        ("dragan", (NORM - 1) ** 2),
    ],
)
def test_linear_critic(name, value):
    result = ALL[name](linear(W), REAL, FAKE, KEY)
    assert result.shape == (6,)
    np.testing.assert_allclose(result, value, rtol=1e-5, atol=1e-7)


def test_quadratic_critic():
    a = jax.random.normal(KEY, (32, 32))

    def critic(x):
        return 0.5 * jnp.einsum("bi,ij,bj->b", x, a, x)

    def half_square(x):  # the gradient of x A x / 2 is (A + A') x / 2
        return 0.5 * jnp.square(0.5 * x @ (a + a.T)).sum(1)

    np.testing.assert_allclose(penalties.r1(critic, FLAT_REAL, FLAT_FAKE, KEY), half_square(FLAT_REAL), rtol=1e-4)
    np.testing.assert_allclose(penalties.r2(critic, FLAT_REAL, FLAT_FAKE, KEY), half_square(FLAT_FAKE), rtol=1e-4)


def one_by_one(name, critic, key):
    """Each sample's gradient on its own, at the points the docstrings give."""
    mix = jax.random.uniform(key, (6, 1, 1, 1))
    between = mix * REAL + (1 - mix) * FAKE
    around = REAL + 0.5 * np.asarray(REAL).std() * jax.random.uniform(key, REAL.shape)
    values = []
    for i in range(6):

        def norm(images, i=i):
            return float(jnp.linalg.norm(jax.grad(lambda x: critic(x[None])[0])(images[i])))

        values.append(
            {
                "none": lambda: 0.0,
                "r1": lambda: norm(REAL) ** 2 / 2,
                "r2": lambda: norm(FAKE) ** 2 / 2,
                "r1_r2": lambda: norm(REAL) ** 2 / 2 + norm(FAKE) ** 2 / 2,
                "gradient_penalty": lambda: (norm(between) - 1) ** 2,
                "dragan": lambda: (norm(around) - 1) ** 2,
            }[name]()
        )
    return np.array(values)


@pytest.mark.parametrize("name", ALL)
def test_one_backward_pass_equals_a_loop_over_samples(name):
    np.testing.assert_allclose(ALL[name](smooth(W), REAL, FAKE, KEY), one_by_one(name, smooth(W), KEY), rtol=2e-4)


def test_r1_r2_is_the_sum_of_both():
    both = penalties.r1_r2(smooth(W), REAL, FAKE, KEY)
    apart = penalties.r1(smooth(W), REAL, FAKE, KEY) + penalties.r2(smooth(W), REAL, FAKE, KEY)
    np.testing.assert_allclose(both, apart, rtol=1e-6)


def test_r1_r2_from_differences() -> None:
    """By its equation with the noise of its key; in the mean over keys twice `r1_r2`: 12,000 values, margin 4 % (4 sigma)."""
    both = np.stack([REAL, FAKE], axis=1).reshape(12, 4, 4, 2)
    noise = np.asarray(jax.random.normal(KEY, both.shape))
    logits = smooth(W)
    for sigma, penalty in ((0.01, penalties.r1_r2_approximate), (0.3, penalties.r1_r2_approximate(0.3))):
        slopes = (np.asarray(logits(both)) - np.asarray(logits(both + sigma * noise))) / sigma
        value = penalty(logits, REAL, FAKE, KEY)
        np.testing.assert_allclose(value, np.square(slopes[0::2]) + np.square(slopes[1::2]), rtol=1e-2, atol=1e-3)
    keys = jax.random.split(KEY, 2_000)
    values = jax.vmap(lambda key: penalties.r1_r2_approximate(linear(W), REAL, FAKE, key))(keys)
    assert abs(float(values.mean()) / (2 * NORM**2) - 1) < 0.04
    for sigma in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"^sigma: {sigma}, but it must be positive$"):
            penalties.r1_r2_approximate(sigma)


def test_r1_r2_from_differences_costs_no_second_derivative() -> None:
    """D's forward pass on both batches is the loss's own: two products forwards and three backwards."""
    critic = from_linen(nn.Dense(1, use_bias=False), jnp.zeros((1, 32)))
    params, _ = critic.init(KEY)

    def loss(params, penalty):
        def logits(x):
            return critic.apply(params, {}, x, None, KEY, train=True)[0][:, 0]

        both = jnp.stack([FLAT_REAL, FLAT_FAKE], axis=1).reshape(-1, 32)
        return jnp.tanh(logits(both)).sum() + penalty(logits, FLAT_REAL, FLAT_FAKE, KEY).sum()

    text = jax.jit(jax.grad(loss), static_argnums=1).lower(params, penalties.r1_r2_approximate).compile().as_text()
    assert text.count(" dot(") == 5


def test_r1_r2_shows_the_critic_both_batches_in_turns():
    seen = []

    def critic(x):
        seen.append(x.shape)
        return jnp.arange(12.0) * x.sum((1, 2, 3))  # the gradient at place k is k: squares tell the places

    value = penalties.r1_r2(critic, REAL, FAKE, KEY)
    assert seen == [(12, 4, 4, 2)]
    place = np.arange(6)
    np.testing.assert_allclose(value, 0.5 * 32 * ((2 * place) ** 2 + (2 * place + 1) ** 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("r1", W),
        ("r2", W),
        ("r1_r2", 2 * W),
        ("gradient_penalty", 2 * (NORM - 1) * W / NORM),
        ("dragan", 2 * (NORM - 1) * W / NORM),
    ],
)
def test_gradient_by_parameters_in_closed_form(name, gradient):
    found = jax.grad(lambda w: ALL[name](linear(w), REAL, FAKE, KEY).mean())(W)
    np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ALL if name != "none"])
def test_gradient_by_parameters_against_differences(name):
    def value(w):
        return ALL[name](smooth(w), REAL, FAKE, KEY).mean()

    direction = jax.random.normal(jax.random.key(5), W.shape)
    slope = jnp.vdot(jax.grad(value)(W), direction)
    step = 1e-2
    # Central differences with float32 rounding: 1e-2 of the slope is ten times what was seen.
    np.testing.assert_allclose((value(W + step * direction) - value(W - step * direction)) / (2 * step), slope, rtol=1e-2)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_nan_where_the_gradient_is_zero(name):
    zero = jnp.zeros_like(W)
    value, grads = jax.value_and_grad(lambda w: ALL[name](linear(w), REAL, FAKE, KEY).mean())(zero)
    assert np.isfinite(value)
    assert np.isfinite(grads).all()


class Coupling(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        x = nn.Dense(8)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(1)(jnp.tanh(x))[:, 0]


def test_r1_r2_in_a_step_when_d_couples_samples():
    discriminator = from_linen(Coupling(), jnp.zeros((1, 32)))
    assert discriminator.depends_on_batch
    generator = types.Network(
        lambda key: ({"scale": jnp.ones(())}, {}), lambda params, stats, *_, train: (params["scale"] * FLAT_FAKE, stats)
    )
    gamma = 0.7
    gan = make_gan(
        generator=generator,
        discriminator=discriminator,
        loss=losses.non_saturating,
        g_optimizer=optax.sgd(0.0),
        d_optimizer=optax.sgd(1.0),  # so that the change of the parameters is minus their gradient
        latent_dim=2,
        penalty=penalties.r1_r2,
        gamma=gamma,
    )
    state = gan.init(KEY)
    batch = {"image": FLAT_REAL, "label": jnp.zeros(6, jnp.int32)}
    new, info = jax.jit(gan.step)(state, batch, KEY)

    def apart(params, x):
        def logits(x):
            return discriminator.apply(params, state.d.stats, x, None, KEY, train=True)[0]

        gradient = jax.grad(lambda x: logits(x).sum())(x)
        return logits(x), 0.5 * jnp.square(gradient).sum(1)

    def d_loss(params):
        (real, r1), (fake, r2) = apart(params, FLAT_REAL), apart(params, FLAT_FAKE)
        penalty = (r1 + r2).mean()
        return (jax.nn.softplus(-real) + jax.nn.softplus(fake)).mean() + gamma * penalty, penalty

    (_, penalty), grads = jax.jit(jax.value_and_grad(d_loss, has_aux=True))(state.d.params)
    np.testing.assert_allclose(info["penalty"], penalty, rtol=1e-5)
    for before, after, grad in zip(*map(jax.tree.leaves, (state.d.params, new.d.params, grads)), strict=True):
        np.testing.assert_allclose(before - after, grad, rtol=1e-3, atol=1e-5)
