import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from jaxgan.core import latents, losses, types
from jaxgan.core.gan import make_gan

KEY = jax.random.key(0)
# Compiled as a whole: operation by operation takes ten times as long.
lerp, slerp = jax.jit(latents.lerp), jax.jit(latents.slerp)
DISTRIBUTIONS = {"normal": latents.normal, "uniform": latents.uniform, "sphere": latents.sphere}


def test_normal_and_uniform_have_their_distributions():
    # 4,096 draws; a true distribution fails at p < 1e-3 for one seed in a thousand, and this seed is fixed.
    assert stats.kstest(np.ravel(latents.normal(KEY, (64, 64))), "norm").pvalue > 1e-3
    assert stats.kstest(np.ravel(latents.uniform(KEY, (64, 64))), stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_sphere_has_one_radius_and_no_direction():
    z = np.asarray(latents.sphere(KEY, (4096, 3)))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), np.sqrt(3), rtol=1e-5)
    # Archimedes: a coordinate of a uniform point on the 2-sphere is uniform.
    assert stats.kstest(z[:, 0], stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draw_is_what_gan_sample_draws(name):
    identity = types.Network(lambda key: ({}, {}), lambda params, stats, x, *_, train: (x, stats))
    from_z = make_gan(
        generator=identity,
        discriminator=identity,
        loss=losses.minimax,
        g_optimizer=optax.identity(),
        d_optimizer=optax.identity(),
        latent_dim=5,
        latent=DISTRIBUTIONS[name],
    )
    z = from_z.sample(from_z.init(KEY).ema, KEY, jnp.zeros(7, jnp.int32), first=3)
    np.testing.assert_array_equal(latents.draw(KEY, jnp.arange(3, 10), 5, latent=DISTRIBUTIONS[name]), z)
    np.testing.assert_array_equal(latents.draw(KEY, jnp.array([8, 4]), 5, latent=DISTRIBUTIONS[name]), z[jnp.array([5, 1])])


@pytest.mark.parametrize("path", [lerp, slerp], ids=["lerp", "slerp"])
def test_ends_are_exact_and_leading_axes_broadcast(path):
    a, b = np.random.default_rng(0).standard_normal((2, 3, 8), np.float32)
    np.testing.assert_array_equal(path(a, b, 0.0), a)
    np.testing.assert_array_equal(path(a, b, 1.0), b)
    t = np.linspace(0.0, 1.0, 5, dtype=np.float32)
    whole = path(a[:, None], b[:, None], t[None])
    assert whole.shape == (3, 5, 8)
    np.testing.assert_allclose(whole[1], path(a[1], b[1], t), rtol=1e-6)
    np.testing.assert_allclose(whole[:, 2], path(a, b, np.full(3, 0.5, np.float32)), rtol=1e-5, atol=1e-6)


def test_lerp_is_straight():
    a, b = np.random.default_rng(0).standard_normal((2, 8), np.float32)
    np.testing.assert_allclose(latents.lerp(a, b, 0.25), 0.75 * a + 0.25 * b, rtol=1e-6)


def test_slerp_turns_evenly_and_its_norm_goes_evenly():
    a, b = np.array([[3.0, 0.0, 0.0], [0.0, 5.0, 0.0]], np.float32)
    t = np.linspace(0, 1, 7)
    expected = (3 + 2 * t)[:, None] * np.stack([np.cos(np.pi / 2 * t), np.sin(np.pi / 2 * t), 0 * t], axis=1)
    np.testing.assert_allclose(slerp(a, b, t.astype(np.float32)), expected, atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-4, 1e-2, 1.0, 3.0, 3.13])
def test_slerp_at_any_angle(angle):
    a, b = np.array([2.0, 0.0, 0.0, 0.0]), 2 * np.array([np.cos(angle), 0.0, np.sin(angle), 0.0])
    t = np.linspace(0, 1, 9)
    expected = 2 * np.stack([np.cos(angle * t), 0 * t, np.sin(angle * t), 0 * t], axis=1)
    found = slerp(a.astype(np.float32), b.astype(np.float32), t.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-4 if angle > 2 else 2e-6)


def test_slerp_between_opposites_keeps_the_norm_and_turns_evenly():
    a = np.random.default_rng(0).standard_normal(6, np.float32)
    way = np.asarray(slerp(a, -a, np.linspace(0.0, 1.0, 9, dtype=np.float32)))
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), np.linalg.norm(a), rtol=1e-5)
    turns = (way[1:] * way[:-1]).sum(1) / np.linalg.norm(a) ** 2
    np.testing.assert_allclose(turns, np.cos(np.pi / 8), atol=1e-5)


def test_slerp_has_a_gradient_everywhere():
    gradient = jax.jit(jax.grad(lambda a, b: latents.slerp(a, b, 0.5)[0]))
    for b in ([1.0, 0.0], [1.0, 1e-9], [-1.0, 0.0], [0.0, 2.0]):
        assert np.isfinite(gradient(jnp.array([1.0, 0.0]), jnp.array(b))).all(), b


@pytest.mark.parametrize("path", [lerp, slerp], ids=["lerp", "slerp"])
def test_walk_passes_through_every_point(path):
    points = np.random.default_rng(0).standard_normal((4, 8), np.float32)
    way = latents.walk(points, 6, path=path)
    assert way.shape == (16, 8)
    np.testing.assert_array_equal(way[::5], points)
    np.testing.assert_allclose(way[7], path(points[1], points[2], 2 / 5), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("psi", [0.1, 0.5, 1.0, 2.0])
def test_truncate_gives_the_truncated_normal_distribution(psi):
    z = latents.normal(KEY, (10_000,))
    cut = np.asarray(latents.truncate(z, psi))
    assert np.abs(cut).max() <= psi
    # The exact map, of which float32 keeps six digits.
    exact = stats.truncnorm(-psi, psi).ppf(stats.norm.cdf(np.asarray(z, np.float64)))
    np.testing.assert_allclose(cut, exact, atol=2e-6 * max(psi, 1))
    assert stats.kstest(cut, stats.truncnorm(-psi, psi).cdf).pvalue > 1e-3


def test_truncate_is_odd_ordered_and_nothing_at_infinity():
    z = jnp.linspace(-9.0, 9.0, 181)
    cut = np.asarray(latents.truncate(z, 1.5))
    assert (np.diff(cut) >= 0).all()
    np.testing.assert_array_equal(latents.truncate(-z, 1.5), -cut)
    np.testing.assert_array_equal(latents.truncate(z, float("inf")), z)
    np.testing.assert_allclose(latents.truncate(z, 12.0), z, atol=1e-4)  # the tails too, where erf is 1 in float32
    assert np.asarray(latents.truncate(z, 1e-3)).max() <= 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latents.truncate(jnp.zeros(2), 0.0), "psi: 0.0, but it must be above 0"),
        (lambda: latents.truncate(jnp.zeros(2), -1.0), "psi: -1.0, but it must be above 0"),
        (lambda: latents.truncate(jnp.zeros(2), float("nan")), "psi: nan, but it must be above 0"),
        (lambda: latents.walk(jnp.zeros((1, 3)), 5), r"points: shape \(1, 3\)"),
        (lambda: latents.walk(jnp.zeros((2, 3)), 1), "frames: 1, but it must be at least 2"),
        (lambda: latents.draw(KEY, jnp.arange(2), 0), "dim: 0, but it must be at least 1"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
