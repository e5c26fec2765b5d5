"""Resampling: stylegan2-ada-pytorch's numbers for every filter and setting, and its definition in loops.

`goldens/stylegan2_resample.npz` holds what that reference computed with PyTorch on CPU, in NCHW.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import resample
from jaxgan.core.resample import low_pass

with np.load(Path(__file__).parent / "goldens" / "stylegan2_resample.npz", allow_pickle=False) as file:
    GOLDENS = dict(file)
CASES = json.loads(str(GOLDENS["cases"]))
FILTERS = ("1331", "1243", "asym3x4", "sym6sep")


def compiled(function):
    """The function as one program, whatever its settings; the taps are numbers in it."""
    return lambda x, taps, **settings: jax.jit(lambda x: function(x, taps, **settings))(x)


upfirdn, upsample, downsample = map(compiled, (resample.upfirdn, resample.upsample, resample.downsample))


def nhwc(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def taps_of(name):
    return GOLDENS[f"filter/{name}"]


def assert_golden(found, key):
    golden = GOLDENS[key].transpose(0, 2, 3, 1)
    assert found.shape == golden.shape
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, golden, rtol=0, atol=1e-6 * np.abs(golden).max())


@pytest.mark.parametrize("index", range(20))
def test_upfirdn_equals_the_reference(index):
    case = CASES[index]
    pair = {name: tuple(value) if isinstance(value, list) else value for name, value in case.items()}
    found = upfirdn(
        nhwc(GOLDENS["x"]),
        taps_of(case["filter"]),
        up=pair.get("up", 1),
        down=pair.get("down", 1),
        padding=pair.get("padding", (0, 0, 0, 0)),
        flip=case.get("flip_filter", False),
        gain=case.get("gain", 1.0),
    )
    assert_golden(found, f"upfirdn2d/{index}")


@pytest.mark.parametrize("name", FILTERS)
def test_resizing_equals_the_reference(name):
    x, taps = nhwc(GOLDENS["x"]), taps_of(name)
    height, width = taps.shape[0], taps.shape[-1]
    assert_golden(upsample(x, taps), f"upsample2d/{name}")
    assert_golden(downsample(x, taps), f"downsample2d/{name}")
    same = (width // 2, (width - 1) // 2, height // 2, (height - 1) // 2)
    assert_golden(upfirdn(x, taps, padding=same), f"filter2d/{name}")
    # Flipped, and with one pixel less on each side.
    x = nhwc(np.random.default_rng(55).standard_normal((1, 2, 20, 20)).astype(np.float32))
    less = ((width - 1) // 2 - 1, (width - 2) // 2 - 1, (height - 1) // 2 - 1, (height - 2) // 2 - 1)
    assert_golden(upfirdn(x, taps, down=2, padding=less, flip=True), f"downsample2d_flip_pad-1/{name}")


def by_hand(x, taps, up, down, padding, flip, gain):
    """One image `[H, W]` by the definition: zeros between the pixels, zeros around, a sum over the taps."""
    left, right, above, below = padding
    wide = np.zeros((x.shape[0] * up[1], x.shape[1] * up[0]))
    wide[:: up[1], :: up[0]] = x
    whole = np.zeros((wide.shape[0] + above + below + 40, wide.shape[1] + left + right + 40))
    whole[20 + above : 20 + above + wide.shape[0], 20 + left : 20 + left + wide.shape[1]] = wide
    whole = whole[20:-20, 20:-20]
    taps = np.outer(taps, taps) if taps.ndim == 1 else taps
    taps = taps if flip else taps[::-1, ::-1]
    rows, columns = (n - k + 1 for n, k in zip(whole.shape, taps.shape, strict=True))
    y = np.array(
        [[(whole[i : i + taps.shape[0], j : j + taps.shape[1]] * taps).sum() for j in range(columns)] for i in range(rows)]
    )
    return gain * y[:: down[1], :: down[0]]


@pytest.mark.parametrize(
    ("taps", "up", "down", "padding"),
    [
        (np.array([1.0, 2.0, 4.0]), (1, 1), (1, 1), (0, 0, 0, 0)),
        (np.arange(6.0).reshape(2, 3), (2, 3), (1, 1), (3, 0, 1, 2)),
        (np.arange(12.0).reshape(4, 3), (1, 2), (3, 2), (2, 2, 3, 1)),
        (np.array([0.5, -1.0]), (3, 3), (2, 2), (0, 1, 0, 1)),
    ],
)
@pytest.mark.parametrize("flip", [False, True])
def test_upfirdn_is_its_definition(taps, up, down, padding, flip):
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
    with jax.enable_x64(True):
        found = upfirdn(jnp.asarray(x), taps, up=up, down=down, padding=padding, flip=flip, gain=1.5)
        assert found.dtype == jnp.float64
    for n, c in np.ndindex(2, 3):
        np.testing.assert_allclose(found[n, :, :, c], by_hand(x[n, :, :, c], taps, up, down, padding, flip, 1.5), atol=1e-12)


def test_the_usual_filter_keeps_a_constant_and_shrinks_what_it_enlarged():
    taps = low_pass((1, 3, 3, 1))
    np.testing.assert_array_equal(taps * 8, [1, 3, 3, 1])
    ones = jnp.ones((1, 8, 8, 1))
    for changed, size in ((upsample(ones, taps), 16), (downsample(ones, taps), 4)):
        assert changed.shape == (1, size, size, 1)
        np.testing.assert_allclose(changed[:, 2:-2, 2:-2], 1.0, rtol=1e-6)
        assert float(changed[0, 0, 0, 0]) < 0.9  # zeros lie outside
    smooth = jnp.cos(jnp.arange(32.0) / 8)[None, :, None, None] * jnp.ones((1, 1, 32, 1))
    again = downsample(upsample(smooth, taps), taps)
    np.testing.assert_allclose(again[:, 2:-2, 2:-2], smooth[:, 2:-2, 2:-2], atol=0.02)


def test_derivatives_are_the_adjoint():
    """`<u, A x> = <A^T u, x>`, with A^T from differentiation, and no second derivative: resampling is linear."""
    x, u = jax.random.normal(jax.random.key(0), (1, 6, 6, 2)), jax.random.normal(jax.random.key(1), (1, 12, 12, 2))
    taps = low_pass((1, 3, 3, 1))

    def product(x):
        return (u * resample.upsample(x, taps)).sum()

    gradient = jax.jit(jax.grad(product))(x)
    assert float((gradient * x).sum()) == pytest.approx(float(product(x)), rel=1e-4)
    second = jax.jit(jax.grad(lambda x: (jax.grad(product)(x) ** 2).sum()))(x)
    np.testing.assert_array_equal(second, 0.0)
