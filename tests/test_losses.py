import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import losses

ALL = {
    "minimax": losses.minimax,
    "non_saturating": losses.non_saturating,
    "relativistic": losses.relativistic,
    "relativistic_average": losses.relativistic_average,
    "hinge": losses.hinge,
    "least_squares": losses.least_squares,
    "wasserstein": losses.wasserstein,
}


def log_s(x):
    """log(sigmoid(x)) in float64, from the definition that is exact on either side."""
    return np.where(x >= 0, -np.log1p(np.exp(-np.abs(x))), x - np.log1p(np.exp(-np.abs(x))))


# The formulas as the papers print them; 1 - s(x) = s(-x).
REFERENCE = {
    "minimax": (lambda r, f: -log_s(r) - log_s(-f), lambda r, f: log_s(-f)),
    "non_saturating": (lambda r, f: -log_s(r) - log_s(-f), lambda r, f: -log_s(f)),
    "relativistic": (lambda r, f: -log_s(r - f), lambda r, f: -log_s(f - r)),
    "relativistic_average": (
        lambda r, f: -log_s(r - f.mean()) - log_s(-(f - r.mean())),
        lambda r, f: -log_s(f - r.mean()) - log_s(-(r - f.mean())),
    ),
    "hinge": (lambda r, f: -np.minimum(0, r - 1) - np.minimum(0, -f - 1), lambda r, f: -f),
    "least_squares": (lambda r, f: (r - 1) ** 2 / 2 + f**2 / 2, lambda r, f: (f - 1) ** 2 / 2),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_equals_the_papers_formula(name, scale):
    real, fake = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32) * np.float32(scale)
    for ours, theirs in zip(ALL[name][:2], REFERENCE[name], strict=True):
        value = ours(jnp.asarray(real), jnp.asarray(fake))
        assert value.shape == (32,)
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, theirs(real.astype(np.float64), fake.astype(np.float64)), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_are_finite_at_large_logits(name):
    real, fake = jnp.array([1e4, -1e4, 1e4, -1e4, 0.0]), jnp.array([1e4, 1e4, -1e4, -1e4, 0.0])
    for player in ALL[name][:2]:
        value, grads = jax.value_and_grad(lambda r, f, player=player: player(r, f).mean(), argnums=(0, 1))(real, fake)
        assert np.isfinite(value)
        assert np.isfinite(grads).all()


@pytest.mark.parametrize("name", ALL)
def test_relativistic_tells_whether_g_looks_at_real_logits(name):
    assert ALL[name].relativistic == (name in ("relativistic", "relativistic_average"))


def test_minimax_saturates_and_non_saturating_does_not():
    def slope(loss, logit):
        return float(jax.grad(lambda f: loss.g(f, f).sum())(jnp.array([logit]))[0])

    for logit in (-5.0, -20.0, -80.0):  # -D(G(z)), and D(G(z)) - 1
        assert slope(losses.minimax, logit) == pytest.approx(-1 / (1 + np.exp(-logit)), rel=1e-5, abs=1e-37)
        assert slope(losses.non_saturating, logit) == pytest.approx(1 / (1 + np.exp(-logit)) - 1, rel=1e-5)
    assert abs(slope(losses.minimax, -80.0)) < 1e-30
    assert slope(losses.non_saturating, -80.0) == -1.0


@pytest.mark.parametrize("name", ALL)
def test_an_equilibrium_is_the_loss_of_a_d_that_cannot_tell(name):
    loss, zero = ALL[name], jnp.zeros(3)
    known = {"relativistic": 1, "minimax": 2, "non_saturating": 2, "relativistic_average": 2}
    if name in known:
        assert loss.equilibrium == pytest.approx(known[name] * np.log(2))
        np.testing.assert_allclose(loss.d(zero, zero), loss.equilibrium, rtol=1e-6)
    else:
        assert loss.equilibrium is None


def test_only_a_wasserstein_critic_has_no_scale():
    assert [name for name, loss in ALL.items() if loss.largest is None] == ["wasserstein"]
    assert {loss.largest for loss in ALL.values()} == {100.0, None}


def test_relativistic_losses_ignore_a_shift_of_all_logits():
    real, fake = jax.random.normal(jax.random.key(0), (2, 16))
    for loss in (losses.relativistic, losses.relativistic_average, losses.wasserstein):
        np.testing.assert_allclose(loss.d(real + 3.0, fake + 3.0), loss.d(real, fake), atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_a_logit_of_its_own_at_equilibrium_has_d_where_the_loss_is_of_single_logits(name):
    """D's best constant where samples cannot be told apart; none where the loss does not change with a constant."""
    loss = ALL[name]
    slopes = {c: float(jax.grad(lambda c: loss.d(c[None], c[None]).sum())(jnp.float32(c))) for c in (-0.4, 0.0, 0.5, 0.9)}
    flat = [c for c, slope in slopes.items() if abs(slope) < 1e-6]
    assert flat == ([loss.logit] if loss.logit is not None else list(slopes))
