"""Layers: equal to XLA's own convolutions in every derivative, and to the published formulas of both normalisations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.nets import layers
from jaxgan.nets.convolutions import conv, conv_transpose, direct, winograd


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
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape, np.float32), np.float32(0.3) * rng.standard_normal(kernel_shape, np.float32)


def assert_same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height", "width"),
    [(4, 2, 1, 5, 3), (4, 1, 0, 1, 1), (7, 1, 0, 1, 1), (4, 1, 0, 2, 3), (3, 2, 1, 3, 4), (5, 3, 2, 3, 2), (2, 3, 0, 2, 2)],
)
def test_conv_transpose_equals_the_dilated_form_in_all_derivatives(size, stride, padding, height, width):
    x, kernel = operands((2, height, width, 3), (size, size, 3, 2))
    sizes = {"stride": stride, "padding": padding}
    assert_same(derivatives(conv_transpose, x, kernel, **sizes), derivatives(dilated, x, kernel, **sizes))


@pytest.mark.parametrize(("size", "stride", "padding", "height", "width"), [(4, 2, 1, 5, 3), (4, 1, 0, 1, 1), (5, 3, 2, 3, 2)])
def test_so_it_does_where_pixels_are_many(size, stride, padding, height, width, monkeypatch):
    monkeypatch.setattr(direct, "_FEW", 0)
    test_conv_transpose_equals_the_dilated_form_in_all_derivatives(size, stride, padding, height, width)


@pytest.mark.parametrize("form", [conv_transpose, direct._transposed_of_xla])  # on CPU it is that of phases
def test_conv_transpose_equals_lax_conv_transpose(form):
    x, kernel = operands((2, 4, 4, 3), (4, 4, 3, 5))
    # lax.conv_transpose correlates with the kernel as it is given; PyTorch's is the gradient of a correlation: flipped.
    expected = lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    found = jax.jit(functools.partial(form, stride=2, padding=1))(x, kernel)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", [conv, direct._conv_of_xla])  # on CPU `conv` is the form of patches
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


@pytest.fixture
def tiles_of_any_number(monkeypatch):
    monkeypatch.setattr(winograd, "TILES", 1)


@pytest.mark.parametrize("shape", [(2, 4, 6, 16), (1, 2, 2, 24)])
def test_the_tiled_form_of_size_3_equals_the_textbook_one_in_all_derivatives(shape, tiles_of_any_number):
    sizes = {"stride": 1, "padding": 1}
    x, kernel = operands(shape, (3, 3, shape[-1], 20))
    kernel = np.float32(0.2) * kernel
    assert winograd.keeps(x.shape, kernel.shape, 1, 1)
    assert_same(derivatives(conv, x, kernel, **sizes), derivatives(direct._conv_of_xla, x, kernel, **sizes))


@pytest.mark.parametrize(("height", "width", "padding"), [(5, 7, 0), (6, 5, 1), (4, 6, 0), (3, 3, 1)])
def test_the_form_of_rows_equals_the_textbook_one_in_all_derivatives(height, width, padding, monkeypatch):
    monkeypatch.setattr(direct, "_conv_of_patches", pytest.fail)  # so that what follows is about the other
    monkeypatch.setattr(direct, "_MANY", 1)
    x, kernel = operands((2, height, width, 16), (3, 3, 16, 5))
    kernel, sizes = np.float32(0.2) * kernel, {"stride": 2, "padding": padding}
    assert_same(derivatives(conv, x, kernel, **sizes), derivatives(direct._conv_of_xla, x, kernel, **sizes))


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (2, 1)])
def test_the_form_of_taps_equals_the_textbook_one_in_all_derivatives(size, padding):
    x, kernel = operands((2, 4, 5, 27), (size, size, 27, 3))
    kernel, sizes = np.float32(0.2) * kernel, {"stride": 1, "padding": padding}
    assert conv(x, kernel, padding=padding).shape == (2, *(n + 2 * padding - size + 1 for n in (4, 5)), 3)
    assert_same(derivatives(conv, x, kernel, **sizes), derivatives(direct._conv_of_xla, x, kernel, **sizes))


@pytest.mark.parametrize("shape", [(2, 8, 12, 16), (1, 4, 4, 24)])
def test_the_tiled_forms_equal_the_textbook_ones_in_all_derivatives(shape, tiles_of_any_number):
    sizes = {"stride": 2, "padding": 1}
    x, kernel = operands(shape, (4, 4, shape[-1], 20))
    kernel = np.float32(0.2) * kernel  # or tanh saturates
    assert winograd.halves(x.shape, kernel.shape, 2, 1)  # so that what follows is about them
    assert_same(derivatives(conv, x, kernel, **sizes), derivatives(direct._conv_of_xla, x, kernel, **sizes))
    assert_same(derivatives(conv_transpose, x, kernel, **sizes), derivatives(dilated, x, kernel, **sizes))


@pytest.mark.parametrize(("size", "stride"), [(4, 2), (3, 1), (3, 2)])
def test_forms_of_several_sums_round_once_in_bfloat16(size, stride, tiles_of_any_number, monkeypatch):
    monkeypatch.setattr(direct, "_MANY", 1)
    x, kernel = (a.astype(jnp.bfloat16) for a in operands((2, 8, 8, 16), (size, size, 16, 16)))
    exact = np.asarray(direct._conv_of_xla(x.astype(np.float32), kernel.astype(np.float32), stride=stride, padding=1))
    # Not in one program: XLA may leave out roundings between its operations.
    found = conv(jnp.asarray(x), jnp.asarray(kernel), stride=stride, padding=1)
    assert found.dtype == jnp.bfloat16
    assert (np.abs(np.asarray(found, np.float32) - exact) <= np.abs(exact) / 256 + 1e-5).all()  # half an ulp is 1/512


def test_leaky_relu_has_the_small_slope_at_zero():
    assert jax.vmap(jax.grad(layers.leaky_relu))(jnp.array([-1.0, 0.0, 1.0])).tolist() == pytest.approx([0.2, 0.2, 1.0])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (5, 3), (1, 2)])
def test_upsample_bilinear_equals_resize_in_all_derivatives(height, width):
    def resized(x, weight):
        return jax.image.resize(weight * x, (2, 2 * height, 2 * width, 3), "bilinear")

    x, _ = operands((2, height, width, 3), (1, 1, 1, 1))
    weight = np.broadcast_to(np.linspace(0.5, 1.5, width, dtype=np.float32).reshape(1, 1, width, 1), (1, height, width, 1))
    assert_same(derivatives(lambda x, weight: layers.upsample_bilinear(weight * x), x, weight), derivatives(resized, x, weight))


def test_downsample_mean_is_the_mean_of_four():
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3) ** 1.5
    found = layers.downsample_mean(jnp.asarray(x))
    assert found.shape == (2, 2, 3, 3)
    for b, i, j, c in np.ndindex(*found.shape):
        assert float(found[b, i, j, c]) == pytest.approx(x[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c].mean(), rel=1e-6)


@pytest.mark.parametrize("overlap", [1.0, 4.0])
def test_variance_scaled_keeps_the_variance_of_a_signal(overlap):
    @jax.jit
    def after():
        x = jax.random.normal(jax.random.key(0), (8, 8, 8, 64))
        kernel = layers.variance_scaled(1.0, overlap)(jax.random.key(1), (4, 4, 64, 64))
        return conv(x, kernel) if overlap == 1.0 else conv_transpose(x, kernel, stride=2, padding=1)[:, 1:-1, 1:-1]

    assert np.var(after()) == pytest.approx(1.0, abs=0.1)  # 65,536 weights and as many outputs, correlated: about 0.03


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


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_has_all_derivatives_of_its_formula(affine):
    """Though it centres at a constant: what that leaves out is in the second derivatives first."""
    module = layers.BatchNorm(affine=affine)
    stats = {"mean": jnp.zeros(5), "var": jnp.ones(5)}

    def found(x, weight):
        params = {"scale": weight.reshape(5), "bias": weight.reshape(5)} if affine else {}
        y = module.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"])[0]
        return y if affine else weight * y

    def formula(x, weight):
        centred = x - x.mean((0, 1, 2), keepdims=True)
        y = weight * centred / jnp.sqrt((centred**2).mean((0, 1, 2), keepdims=True) + 1e-5)
        return y + weight if affine else y

    with jax.enable_x64(True):
        x, weight = (np.asarray(a, np.float64) for a in operands((2, 3, 2, 5), (1, 1, 1, 5)))
        x = 3.0 + 2.0 * x
        assert_same(derivatives(found, x, weight), derivatives(formula, x, weight))


def test_conditional_batch_norm_scales_by_class_what_the_whole_batch_normalised():
    x = 3.0 + 2.0 * np.random.default_rng(0).standard_normal((4, 2, 2, 5)).astype(np.float32)
    labels = np.array([2, 0, 2, 1])
    module = layers.ConditionalBatchNorm(3)
    variables = module.init(jax.random.key(0), x, labels, train=False)
    table = np.asarray(variables["params"]["embedding"])
    assert table.shape == (3, 10)
    assert 0.005 < (table[:, :5] - 1.0).std() < 0.05  # the scales start about one,
    assert not table[:, 5:].any()  # the biases at zero
    table = np.random.default_rng(1).standard_normal((3, 10)).astype(np.float32)
    y, new = module.apply({**variables, "params": {"embedding": table}}, x, labels, train=True, mutable=["batch_stats"])
    flat = x.reshape(-1, 5)
    normalised = (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    for i, label in enumerate(labels):
        np.testing.assert_allclose(y[i], normalised[i] * table[label, :5] + table[label, 5:], rtol=0, atol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["norm"]["mean"], 0.1 * flat.mean(0), rtol=1e-5)


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
    assert jax.tree.all(jax.tree.map(np.array_equal, new, variables))


def test_spectral_norm_iterates_once_in_training_and_not_otherwise():
    kernel = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    u, v = (x / np.linalg.norm(x) for x in np.random.default_rng(1).standard_normal((2, 24)).astype(np.float32))
    u = u[:5]  # as a state dict may hold it: of any length, and unrelated to v
    module, stats, matrix = layers.SpectralNorm(), {"spectral": {"u": u, "v": v}}, kernel.reshape(24, 5)
    frozen, new = module.apply(stats, kernel, train=False, mutable=["spectral"])
    np.testing.assert_allclose(frozen, kernel / (v @ matrix @ u), rtol=1e-4)
    assert jax.tree.all(jax.tree.map(np.array_equal, new, stats))
    moved, new = module.apply(stats, kernel, train=True, mutable=["spectral"])
    next_v = matrix @ u / np.linalg.norm(matrix @ u)
    next_u = matrix.T @ next_v / np.linalg.norm(matrix.T @ next_v)
    np.testing.assert_allclose(moved, kernel / (next_v @ matrix @ next_u), rtol=1e-4)
    np.testing.assert_allclose(new["spectral"]["v"], next_v, rtol=0, atol=1e-6)
    np.testing.assert_allclose(new["spectral"]["u"], next_u, rtol=0, atol=1e-6)


def test_spectral_norm_gradient_holds_the_vectors_fixed():
    kernel, weight = jax.random.normal(jax.random.key(0), (2, 8, 5))
    module = layers.SpectralNorm()
    variables = jax.jit(functools.partial(module.init, train=False))(jax.random.key(1), kernel)
    found = jax.jit(jax.grad(lambda k: (weight * module.apply(variables, k, train=False)).sum()))(kernel)
    u, v = (np.asarray(variables["spectral"][name]) for name in "uv")
    sigma = v @ kernel @ u
    # Miyato et al. 2018, equation 12: the second term keeps W from growing along its largest singular direction.
    expected = (weight - (weight * kernel).sum() / sigma * np.outer(v, u)) / sigma
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
