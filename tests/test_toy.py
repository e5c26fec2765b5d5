import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from scipy import stats

from jaxgan import toy
from jaxgan.core import losses, penalties

KEY = jax.random.key(0)
LINE = toy.quadrature([-7.0], [7.0], 2_000)
PAIR = toy.gaussian_mixture([-1.0, 1.0], 0.5, [0.3, 0.7])
ONE = toy.gaussian_mixture([0.3], 0.9)


def test_the_fields_two_mixtures():
    ring, grid = toy.ring(), toy.grid()
    assert ring.centres.shape == (8, 2)
    np.testing.assert_allclose(np.linalg.norm(ring.centres, axis=1), 1.0)
    assert ring.sigma == 0.01
    assert {tuple(c) for c in grid.centres} == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert grid.sigma == 0.05


@pytest.mark.parametrize(
    ("density", "at"),
    [
        (PAIR, LINE),
        (toy.gaussian_mixture([[0.0, 1.0], [1.0, -1.0]], 0.4, [0.2, 0.8]), toy.quadrature([-3, -4], [4, 4], 100)),
        (toy.ring(), toy.quadrature([-1.2, -1.2], [1.2, 1.2], 300)),
        (toy.swiss_roll(), toy.quadrature([-1.3, -1.3], [1.3, 1.3], 150)),
    ],
    ids=["line", "plane", "ring", "swiss roll"],
)
def test_densities_integrate_to_one(density, at):
    assert float(jnp.exp(density.log_density(at.points)).sum() * at.volume) == pytest.approx(1.0, abs=2e-5)


def test_log_density_of_a_mixture_in_closed_form():
    x = np.linspace(-4, 4, 33)
    expected = np.log(0.3 * stats.norm.pdf(x, -1, 0.5) + 0.7 * stats.norm.pdf(x, 1, 0.5))
    np.testing.assert_allclose(PAIR.log_density(jnp.asarray(x[:, None], jnp.float32)), expected, rtol=1e-5, atol=1e-5)


def test_log_density_of_the_swiss_roll_against_a_fine_sum():
    roll = toy.swiss_roll(sigma=0.05)
    x = np.asarray(roll.sample(KEY, 50), np.float64)
    angle = np.pi * (1.5 + 3.0 * (np.arange(100_000) + 0.5) / 100_000)
    curve = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) / (4.5 * np.pi)
    squared = ((x[:, None] - curve[None]) ** 2).sum(-1)
    expected = np.log(np.exp(-squared / (2 * 0.05**2)).mean(1) / (2 * np.pi * 0.05**2))
    np.testing.assert_allclose(roll.log_density(jnp.asarray(x, jnp.float32)), expected, atol=1e-4)


def test_samples_have_their_density():
    # Each sample's probability transform is uniform; the seed is fixed, 1e-3 is the chance of a false alarm.
    x = np.asarray(PAIR.sample(KEY, 5_000))[:, 0]
    cdf = 0.3 * stats.norm.cdf(x, -1, 0.5) + 0.7 * stats.norm.cdf(x, 1, 0.5)
    assert stats.kstest(cdf, "uniform").pvalue > 1e-3


def test_swiss_roll_samples_have_its_density():
    # Mean log-density of samples = minus the entropy, which the grid gives; four standard errors.
    roll, at = toy.swiss_roll(), toy.quadrature([-1.3, -1.3], [1.3, 1.3], 150)
    seen, everywhere = roll.log_density(roll.sample(KEY, 4_000)), roll.log_density(at.points)
    expected = float((jnp.exp(everywhere) * jnp.maximum(everywhere, -1e3)).sum() * at.volume)
    assert float(seen.mean()) == pytest.approx(expected, abs=4 * float(seen.std()) / math.sqrt(4_000))


def test_coverage_counts_what_the_protocol_says():
    grid = toy.gaussian_mixture([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]], 1.0)
    inside, outside = [2.99, 0.0], [2.13, 2.13]  # the second is within 3 in each coordinate and outside the circle
    samples = np.array([[0.0, 0.0], inside, outside, [10.0, 0.0], [np.nan, 0.0], [np.inf, 0.0]])
    found = toy.coverage(samples, grid)
    assert (found.modes, found.n) == (2, 6)
    assert found.high_quality == 3 / 6
    assert found.reverse_kl == pytest.approx(2 / 3 * math.log(4 * 2 / 3) + 1 / 3 * math.log(4 / 3))


def test_coverage_of_collapse():
    ring = toy.ring()
    one = toy.coverage(np.tile(ring.centres[:1], (2_500, 1)), ring)
    assert (one.modes, one.high_quality) == (1, 1.0)
    assert one.reverse_kl == pytest.approx(math.log(8))
    nowhere = toy.coverage(np.zeros((2_500, 2)), ring)
    assert nowhere == (0, 0.0, math.inf, 2_500)


def test_reverse_kl_is_to_the_mixtures_own_weights():
    samples = np.repeat([[-1.0], [1.0]], [300, 700], axis=0)
    assert toy.coverage(samples, PAIR).reverse_kl == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("density", "modes", "kl"), [(toy.ring(), 8, 0.0014), (toy.grid(), 25, 0.0048)])
def test_floor_of_a_perfect_sampler(density, modes, kl):
    floor = toy.coverage_floor(density, 2_500, seeds=100)
    assert floor.mean.modes == modes
    # 3 sigma of a round Gaussian in the plane hold 1 - exp(-9 / 2) = 98.89 % of it; four standard errors.
    error = floor.standard_error
    assert floor.mean.high_quality == pytest.approx(0.9889, abs=4 * error.high_quality)
    # A histogram of M bins and n samples is (M - 1) / 2n from the truth, to first order.
    assert floor.mean.reverse_kl == pytest.approx(kl, abs=4 * error.reverse_kl)
    assert floor.mean.reverse_kl == pytest.approx((modes - 1) / (2 * 2_500 * 0.9889), abs=4 * error.reverse_kl)


def test_dataset_batches_are_pure_functions_of_seed_and_step():
    data = toy.dataset(toy.ring(), name="ring")
    assert (data.name, data.shape, data.class_names, data.size) == ("ring", (2,), (), None)
    draw = data.batches(5, 48)
    many = draw(7, 3)
    assert many["image"].shape == (3, 48, 2)
    assert many["image"].dtype == jnp.float32
    assert many["label"].dtype == jnp.int32
    np.testing.assert_array_equal(many["label"], np.zeros((3, 48)))
    for i in range(3):
        np.testing.assert_array_equal(many["image"][i], draw(7 + i)["image"][0])
    np.testing.assert_array_equal(draw(jnp.int32(8))["image"], draw(8)["image"])
    assert not np.array_equal(draw(7)["image"], draw(8)["image"])
    assert not np.array_equal(draw(7)["image"], data.batches(6, 48)(7)["image"])


def test_dataset_on_two_devices_draws_the_same():
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",), axis_types=(AxisType.Auto,))
    data = toy.dataset(toy.grid(), name="grid")
    sharded = data.batches(0, 32, NamedSharding(mesh, PartitionSpec("data")))(3, 2)
    assert sharded["image"].sharding.shard_shape((2, 32, 2)) == (2, 16, 2)
    np.testing.assert_array_equal(sharded["image"], data.batches(0, 32)(3, 2)["image"])


def test_optimal_discriminator_is_p_over_p_plus_q():
    x = np.linspace(-3, 3, 25)
    p = 0.3 * stats.norm.pdf(x, -1, 0.5) + 0.7 * stats.norm.pdf(x, 1, 0.5)
    q = stats.norm.pdf(x, 0.3, 0.9)
    found = toy.optimal_discriminator(PAIR, ONE)(jnp.asarray(x[:, None], jnp.float32))
    np.testing.assert_allclose(found, p / (p + q), rtol=1e-4)


@pytest.mark.parametrize(
    ("density", "at"),
    [(PAIR, LINE), (toy.ring(), toy.quadrature([-1.2, -1.2], [1.2, 1.2], 300))],
    ids=["line", "ring"],
)
def test_value_at_the_equilibrium_is_minus_log_four(density, at):
    assert toy.value_function(toy.optimal_logit(density, density), density, density, at) == pytest.approx(
        -math.log(4), abs=1e-5
    )
    assert toy.jensen_shannon(density, density, at) == pytest.approx(0.0, abs=1e-6)


def test_value_of_the_best_discriminator_is_twice_js_minus_log_four():
    best = toy.optimal_logit(PAIR, ONE)
    value = toy.value_function(best, PAIR, ONE, LINE)
    assert value == pytest.approx(2 * toy.jensen_shannon(PAIR, ONE, LINE) - math.log(4), abs=1e-6)
    for worse in (lambda x: best(x) + 0.1, lambda x: 0.8 * best(x), lambda x: 0.0 * x[:, 0]):
        assert toy.value_function(worse, PAIR, ONE, LINE) < value - 1e-4
    assert toy.value_function(lambda x: 0.0 * x[:, 0], PAIR, ONE, LINE) == pytest.approx(-math.log(4), abs=1e-5)


def test_divergences_in_closed_form():
    # Far apart: JS is log 2, |p - q| sums to 2. Close Gaussians: f''(1) / 2 times the chi-square distance, here d^2 / sigma^2.
    far = toy.gaussian_mixture([-4.0], 0.2), toy.gaussian_mixture([4.0], 0.2)
    assert toy.jensen_shannon(*far, LINE) == pytest.approx(math.log(2), abs=1e-5)
    assert toy.f_divergence("hinge", *far, LINE) == pytest.approx(2.0, abs=1e-5)
    near = toy.gaussian_mixture([0.0], 1.0), toy.gaussian_mixture([0.1], 1.0)
    for name, curvature in (("minimax", 1 / 2), ("non_saturating", 1 / 2), ("least_squares", 1 / 8)):
        assert toy.f_divergence(name, *near, LINE) == pytest.approx(0.5 * curvature * 0.1**2, rel=0.02)
    shifted = 2 * (stats.norm.cdf(0.05) - stats.norm.cdf(-0.05))
    assert toy.f_divergence("hinge", *near, LINE) == pytest.approx(shifted, abs=1e-5)


def test_non_saturating_is_reverse_kl_less_twice_js():
    p, q = toy.gaussian_mixture([0.0], 1.0), toy.gaussian_mixture([0.5], 0.8)
    kl = math.log(1 / 0.8) + (0.8**2 + 0.5**2) / 2 - 0.5  # KL(q || p) of two Gaussians
    expected = kl - 2 * toy.jensen_shannon(p, q, LINE)
    assert toy.f_divergence("non_saturating", p, q, LINE) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("minimax", lambda r: jnp.log(r)),
        ("non_saturating", lambda r: jnp.log(r)),
        ("hinge", lambda r: jnp.sign(r - 1.0)),
        ("least_squares", lambda r: r / (1.0 + r)),
    ],
)
def test_gs_gradient_against_the_best_d_is_the_divergences(name, best):
    """Moves G's density a little both ways: the divergence changes by what G's loss at the fixed best D does."""
    loss = {
        "minimax": losses.minimax,
        "non_saturating": losses.non_saturating,
        "hinge": losses.hinge,
        "least_squares": losses.least_squares,
    }[name]
    p, step = toy.gaussian_mixture([0.2, 1.5], 1.0), 0.02

    def q(shift):
        return toy.gaussian_mixture([0.0 + shift], 1.3)

    ratio = jnp.exp(toy.optimal_logit(p, q(0.0))(LINE.points))
    logit = best(ratio)

    # It is the best: no shift and no rescaling lowers D's loss. A logit of +-9 makes the other term a constant.
    def d_loss(logit):
        real, fake = loss.d(logit, jnp.full_like(logit, -9.0)), loss.d(jnp.full_like(logit, 9.0), logit)
        weights = (jnp.exp(density.log_density(LINE.points)) for density in (p, q(0.0)))
        return float(sum((weight * part).sum() for weight, part in zip(weights, (real, fake), strict=True)) * LINE.volume)

    for other in (logit + 0.05, logit - 0.05, 0.9 * logit, 1.1 * logit):
        assert d_loss(other) > d_loss(logit)

    def g_loss(shift):
        mass = np.exp(np.asarray(q(shift).log_density(LINE.points), np.float64)) * LINE.volume
        return float(mass @ np.asarray(loss.g(logit, logit), np.float64))

    slope_of_loss = (g_loss(step) - g_loss(-step)) / (2 * step)
    slope = (toy.f_divergence(name, p, q(step), LINE) - toy.f_divergence(name, p, q(-step), LINE)) / (2 * step)
    assert abs(slope) > 0.01
    assert slope == pytest.approx(slope_of_loss, rel=5e-3)


# f'(0), the slope of D's loss by a fake logit at the equilibrium.
SLOPES = {
    "minimax": (losses.minimax, 0.5, 0.0),
    "non_saturating": (losses.non_saturating, 0.5, 0.0),
    "relativistic": (losses.relativistic, 0.5, 0.0),
    "relativistic_average": (losses.relativistic_average, 1.0, 0.0),
    "hinge": (losses.hinge, 1.0, 0.0),
    "least_squares": (losses.least_squares, 0.5, 0.5),
    "wasserstein": (losses.wasserstein, 1.0, 0.0),
}


@pytest.mark.parametrize("name", SLOPES)
def test_dirac_gan_circles_without_a_penalty_and_comes_in_with_one(name):
    loss, slope, bias = SLOPES[name]
    free = toy.dirac_gan(loss, bias=bias)
    np.testing.assert_allclose(sorted(free.eigenvalues, key=np.imag), [-1j * slope, 1j * slope], atol=1e-6)
    for penalty, strength in ((penalties.r1, 1.0), (penalties.r2, 1.0), (penalties.r1_r2, 2.0)):
        g = 0.4 * strength  # R1 and R2 together are twice as strong: D's slope is the same everywhere
        root = np.sqrt(complex(g**2 / 4 - slope**2))
        found = toy.dirac_gan(loss, penalty, gamma=0.4, bias=bias).eigenvalues
        np.testing.assert_allclose(sorted(found, key=np.imag), sorted([-g / 2 + root, -g / 2 - root], key=np.imag), atol=1e-6)
        assert found.real.max() < 0


def test_a_strong_penalty_overdamps():
    found = toy.dirac_gan(losses.non_saturating, penalties.r1, gamma=2.0).eigenvalues
    np.testing.assert_allclose(sorted(found.real), [-1 - math.sqrt(0.75), -1 + math.sqrt(0.75)], atol=1e-6)
    np.testing.assert_allclose(found.imag, 0.0, atol=1e-9)


@pytest.mark.parametrize("penalty", [penalties.gradient_penalty, penalties.dragan])
def test_slope_one_penalties_have_no_derivative_at_the_equilibrium(penalty):
    assert np.isnan(toy.dirac_gan(losses.wasserstein, penalty, gamma=1.0).eigenvalues).all()


def test_dirac_gans_field_moves_as_the_eigenvalues_say():
    found = toy.dirac_gan(losses.non_saturating, penalties.r1, gamma=0.4)
    point, time, steps = jnp.array([0.01, 0.0]), 4.0, 400
    velocity = jax.jit(found.field)
    for _ in range(steps):  # midpoint rule
        point = point + time / steps * velocity(point + 0.5 * time / steps * velocity(point))
    values, vectors = np.linalg.eig(found.jacobian)
    linear = (vectors @ (np.exp(values * time) * np.linalg.solve(vectors, [0.01, 0.0]))).real
    np.testing.assert_allclose(point, linear, atol=2e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: toy.ring(sigma=0.0), "sigma: 0.0, but it must be a finite number above 0"),
        (lambda: toy.swiss_roll(sigma=-1.0), "sigma: -1.0, but"),
        (lambda: toy.ring(modes=0), "modes: 0, but there must be at least 1"),
        (lambda: toy.grid(side=0), "side: 0, but it must be at least 1"),
        (lambda: toy.gaussian_mixture([], 1.0), r"centres: shape \(0,\)"),
        (lambda: toy.gaussian_mixture([0.0, math.nan], 1.0), "centres: "),
        (lambda: toy.gaussian_mixture([0.0, 1.0], 1.0, [0.5, 0.6]), r"weights: their sum is 1\.1"),
        (lambda: toy.gaussian_mixture([0.0, 1.0], 1.0, [-0.5, 1.5]), "weights: "),
        (lambda: toy.gaussian_mixture([0.0, 1.0], 1.0, [1.0]), r"weights: shape \(1,\), but there are 2 centres"),
        (lambda: toy.coverage(np.zeros((24, 2)), toy.grid()), "n: 24, but 25 modes need at least as many samples"),
        (lambda: toy.coverage_floor(toy.grid(), 24), "n: 24, but 25 modes need at least as many samples"),
        (lambda: toy.coverage_floor(toy.grid(), 2_500, seeds=1), "seeds: 1, but"),
        (lambda: toy.coverage(np.zeros((30, 3)), toy.grid()), r"samples: shape \(30, 3\), but it must be \[n, 2\]"),
        (lambda: toy.coverage(np.zeros((30, 2)), toy.swiss_roll()), "density: it has no modes, but they are to be counted"),
        (lambda: toy.dataset(toy.ring(), name="ring").batches(0, 0), "batch_size: 0, but it must be at least 1"),
        (lambda: toy.quadrature([0.0], [0.0], 5), r"low: \[0.0\], but"),
        (lambda: toy.quadrature([0.0], [1.0], 0), "count: 0, but"),
        (lambda: toy.jensen_shannon(PAIR, ONE, toy.quadrature([0.0], [1.0], 50)), "p: it integrates to 0.[0-9]+ on these"),
        (lambda: toy.f_divergence("wasserstein", PAIR, ONE, LINE), "objective: 'wasserstein' is not one of minimax"),
        (lambda: toy.dirac_gan(losses.minimax, penalties.r1, gamma=-1.0), "gamma: -1.0, but it must be"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
