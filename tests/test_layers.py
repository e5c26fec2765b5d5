"""Layers: equal to XLA's own convolutions in every derivative, and to the published formulas of both normalisations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan import layers


def dilated(x, kernel, *, stride, padding):
    """The textbook form: zeros between the pixels, then a convolution with the flipped kernel."""
    pads = [(size - 1 - padding, size - 1 - padding) for size in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x, kernel[::-1, ::-1], (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def derivatives(form, x, kernel, **sizes):
    """Value, both gradients, a forward derivative, and both gradients of a penalty on the input's gradient."""

    def score(x, kernel):
        return jnp.tanh(form(x, kernel, **sizes)).sum()

    def penalty(x, kernel):
        return (jax.grad(score)(x, kernel) ** 2).sum()

    def all_of_them(x, kernel):
        forward = jax.jvp(lambda *args: form(*args, **sizes), (x, kernel), (jnp.cos(x), jnp.sin(kernel)))
        return forward, jax.grad(score, (0, 1))(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)

    return jax.jit(all_of_them)(x, kernel)


def operands(shape, kernel_shape):
    x_key, kernel_key = jax.random.split(jax.random.key(0))
    return jax.random.normal(x_key, shape), 0.3 * jax.random.normal(kernel_key, kernel_shape)


def assert_same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height", "width"),
    [(4, 2, 1, 5, 3), (4, 1, 0, 1, 1), (7, 1, 0, 1, 1), (4, 1, 0, 2, 3), (3, 2, 1, 3, 4), (5, 3, 2, 3, 2), (2, 3, 0, 2, 2)],
)
def test_conv_transpose_equals_the_dilated_form_in_all_derivatives(size, stride, padding, height, width):
    x, kernel = operands((2, height, width, 3), (size, size, 3, 2))
    sizes = {"stride": stride, "padding": padding}
    assert_same(derivatives(layers.conv_transpose, x, kernel, **sizes), derivatives(dilated, x, kernel, **sizes))


def test_conv_transpose_equals_lax_conv_transpose():
    x, kernel = operands((2, 4, 4, 3), (4, 4, 3, 5))
    # lax.conv_transpose correlates with the kernel as it is given; PyTorch's is the gradient of a correlation: flipped.
    expected = lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(layers.conv_transpose(x, kernel, stride=2, padding=1), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", [layers.conv, layers._conv_of_xla])  # on CPU `conv` is the form of patches
@pytest.mark.parametrize(("size", "stride", "padding"), [(4, 2, 1), (3, 1, 1), (4, 1, 0), (3, 2, 0)])
def test_conv_equals_a_sum_over_taps_in_all_derivatives(form, size, stride, padding):
    def taps(x, kernel, *, stride, padding):
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        rows = range(0, x.shape[1] - size + 1, stride)
        windows = jnp.stack([jnp.stack([x[:, i : i + size, j : j + size] for j in rows], 1) for i in rows], 1)
        return jnp.einsum("bijhwc,hwco->bijo", windows, kernel)

    x, kernel = operands((2, 4, 4, 3), (size, size, 3, 2))
    sizes = {"stride": stride, "padding": padding}
    assert_same(derivatives(form, x, kernel, **sizes), derivatives(taps, x, kernel, **sizes))


def test_leaky_relu_has_the_small_slope_at_zero():
    assert jax.vmap(jax.grad(layers.leaky_relu))(jnp.array([-1.0, 0.0, 1.0])).tolist() == pytest.approx([0.2, 0.2, 1.0])


@pytest.mark.parametrize("overlap", [1.0, 4.0])
def test_variance_scaled_keeps_the_variance_of_a_signal(overlap):
    x = jax.random.normal(jax.random.key(0), (8, 8, 8, 64))
    kernel = layers.variance_scaled(1.0, overlap)(jax.random.key(1), (4, 4, 64, 64))
    y = layers.conv(x, kernel) if overlap == 1.0 else layers.conv_transpose(x, kernel, stride=2, padding=1)[:, 1:-1, 1:-1]
    assert float(y.var()) == pytest.approx(1.0, abs=0.1)  # 65,536 weights and as many outputs, correlated: about 0.03


def test_batch_norm_keeps_the_unbiased_variance_and_uses_the_biased_one():
    x = 3.0 + 2.0 * np.random.default_rng(0).standard_normal((2, 2, 2, 5)).astype(np.float32)
    module = layers.BatchNorm()
    variables = module.init(jax.random.key(0), x, train=False)
    assert not jax.tree.all(jax.tree.map(jnp.any, variables["batch_stats"]["mean"]))  # init moves nothing
    y, new = module.apply(variables, x, train=True, mutable=["batch_stats"])
    flat = x.reshape(-1, 5)
    np.testing.assert_allclose(y.reshape(-1, 5), (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5), rtol=0, atol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
    running = {"params": variables["params"], **new}
    mean, var = new["batch_stats"]["mean"], new["batch_stats"]["var"]
    np.testing.assert_allclose(
        module.apply(running, x, train=False)[0, 0, 0], (x[0, 0, 0] - mean) / np.sqrt(var + 1e-5), rtol=1e-5
    )


def test_spectral_norm_divides_by_the_largest_singular_value():
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 4, 6))
    module = layers.SpectralNorm()
    variables = jax.jit(functools.partial(module.init, train=False))(jax.random.key(1), kernel)
    normalised, step = kernel, jax.jit(lambda stats: module.apply(stats, kernel, train=True, mutable=["spectral"]))
    for _ in range(100):
        normalised, variables = step(variables)
    assert np.linalg.norm(normalised.reshape(-1, 6), 2) == pytest.approx(1.0, abs=1e-4)
    frozen, new = module.apply(variables, kernel, train=False, mutable=["spectral"])
    np.testing.assert_allclose(frozen, normalised, rtol=1e-4)
    np.testing.assert_array_equal(new["spectral"]["u"], variables["spectral"]["u"])


def test_spectral_norm_gradient_holds_the_vectors_fixed():
    kernel, weight = jax.random.normal(jax.random.key(0), (2, 8, 5))
    module = layers.SpectralNorm()
    variables = jax.jit(functools.partial(module.init, train=False))(jax.random.key(1), kernel)
    found = jax.jit(jax.grad(lambda k: (weight * module.apply(variables, k, train=False)).sum()))(kernel)
    u = np.asarray(variables["spectral"]["u"])
    v = kernel @ u / np.linalg.norm(kernel @ u)
    sigma = v @ kernel @ u
    # Miyato et al. 2018, equation 12: the second term keeps W from growing along its largest singular direction.
    expected = (weight - (weight * kernel).sum() / sigma * np.outer(v, u)) / sigma
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
