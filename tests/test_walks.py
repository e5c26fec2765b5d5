"""Loops, sheets and mixtures of styles: they pass through what they were given, smoothly, and stay where codes are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from jaxgan.core import latents
from jaxgan.latent import walks
from jaxgan.system.messages import FieldError

POINTS = latents.normal(jax.random.key(0), (5, 64))


def test_a_loop_is_the_periodic_spline_on_the_shell() -> None:
    plain = np.asarray(walks.loop(POINTS, 8, shell=False))
    closed = np.concatenate([POINTS, POINTS[:1]])
    spline = CubicSpline(np.arange(6), closed, bc_type="periodic")
    np.testing.assert_allclose(plain, spline(np.arange(40) / 8), atol=1e-5)
    shell = np.asarray(walks.loop(POINTS, 8))
    np.testing.assert_allclose(shell[::8], POINTS, rtol=1e-5)
    norms, own = np.linalg.norm(shell, axis=1), np.linalg.norm(POINTS, axis=1)
    assert own.min() - 1e-4 <= norms.min() <= norms.max() <= own.max() + 1e-4
    assert np.linalg.norm(plain, axis=1).min() < own.min() - 0.3  # what the shell is for
    steps = np.linalg.norm(np.diff(np.concatenate([shell, shell[:1]]), axis=0), axis=1)
    assert steps.max() < 2 * steps.mean()  # the last leads to the first
    there = walks.loop(POINTS[:2], 4, shell=False)
    np.testing.assert_allclose(there[1:4], there[:4:-1], atol=1e-5)  # two points: there and back


def test_a_sheet_has_its_corners_and_ways_along_its_sides() -> None:
    made = walks.sheet(POINTS[:4], 5, 7)
    assert made.shape == (5, 7, 64)
    for (row, column), corner in zip([(0, 0), (0, -1), (-1, 0), (-1, -1)], POINTS, strict=False):
        np.testing.assert_array_equal(made[row, column], corner)
    np.testing.assert_allclose(made[0], latents.walk(POINTS[:2], 7), atol=1e-5)
    np.testing.assert_allclose(made[:, 0], latents.walk(POINTS[jnp.array([0, 2])], 5), atol=1e-5)
    flat = walks.sheet(POINTS[:4], 3, 3, latents.lerp)
    np.testing.assert_allclose(flat[1, 1], POINTS[:4].mean(axis=0), atol=1e-5)


def test_coarse_styles_come_first() -> None:
    coarse, fine = jnp.zeros((2, 4, 3)), jnp.ones((5, 4, 3))
    mixed = walks.style_mix(coarse, fine, 1)
    assert mixed.shape == (2, 5, 4, 3)
    assert mixed[0, 0, :, 0].tolist() == [0.0, 1.0, 1.0, 1.0]


def test_mistakes() -> None:
    with pytest.raises(FieldError, match=r"points: shape \[1, 64\], but it must be \[K, D\] with K at least 2"):
        walks.loop(POINTS[:1], 4)
    with pytest.raises(FieldError, match=r"corners: shape \[3, 64\], but it must be \[4, D\]"):
        walks.sheet(POINTS[:3], 4, 4)
    with pytest.raises(FieldError, match="frames: 1, but it must be at least 2"):
        walks.sheet(POINTS[:4], 1, 4)
    with pytest.raises(FieldError, match="cut: 4, but it must be from 1 to 3, of 4 layers"):
        walks.style_mix(jnp.zeros((1, 4, 3)), jnp.zeros((1, 4, 3)), 4)
