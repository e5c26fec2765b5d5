"""Terms of G's loss: functions `(fake [B, ...], batch, key) -> [B]`, not scaled, for `Term` to weigh.

`batch` holds what the step was given, cut to the samples of this update (`image`, the real ones; `label`; `condition`; further
arrays of the user's), and where D has `features`, also `real_features` and `fake_features`: those of the real and of the
generated samples, by D held fixed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import Images, Key, TermBatch
from jaxgan.system.messages import FieldError


def l1(fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    """L1, the mean distance of a sample from the real one that has its condition: `mean |G(z, c) - x|`.

    Args:
        fake: `[B, ...]`.
        batch: with `image [B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Isola et al. 2017, Image-to-image translation with conditional adversarial networks (pix2pix), equation 3.
    """
    return jnp.abs(fake - batch["image"]).mean(axis=tuple(range(1, fake.ndim)))


def l2(fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    """L2, the mean squared distance of a sample from the real one that has its condition: `mean (G(z, c) - x)^2`.

    Args:
        fake: `[B, ...]`.
        batch: with `image [B, ...]`.

    Returns:
        `[B]`, not negative.

    References:
        Pathak et al. 2016, Context encoders: feature learning by inpainting, equation 1.
    """
    return jnp.square(fake - batch["image"]).mean(axis=tuple(range(1, fake.ndim)))


def feature_matching(_fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    """Feature matching: `sum_layers mean_j (E_x f_j(x) - E_z f_j(G(z)))^2`, f the features of D, E the mean over the batch.

    Args:
        batch: with `real_features` and `fake_features`, trees of arrays `[B, ...]`.

    Returns:
        `[B]`, one value for the whole batch, not negative.

    Raises:
        FieldError: when D has no features.

    References:
        Salimans et al. 2016, Improved techniques for training GANs, section 3.1.
    """
    real, fake = (jax.tree.leaves(batch.get(name)) for name in ("real_features", "fake_features"))
    if not real:
        raise FieldError(
            "terms.feature_matching", "D has no features", "give its Network `features`, or let its module sow some"
        )
    distances = [jnp.square(x.mean(axis=0) - y.mean(axis=0)).mean() for x, y in zip(real, fake, strict=True)]
    return jnp.full(batch["image"].shape[0], jnp.stack(distances).sum())


LEAST_POWER = 1e-3  # share of the strongest band's power: bands far weaker than that do not count
_LEAST_DEVIATION = 1e-3  # of samples in [-1, 1]: a batch that varies less is treated as if it varied this much


def bands(sides: tuple[int, ...]) -> np.ndarray:
    """Returns the band of each wave of a discrete Fourier transform: `[S |k|]`, [] the nearest whole number.

    Args:
        sides: of samples, one to three; S is the shorter one.

    Returns:
        `[*sides]` int, in the order of `numpy.fft.fftn`, k in cycles a place. Bands to `S // 2` hold waves of all directions.
    """
    waves = np.meshgrid(*(np.fft.fftfreq(side) for side in sides), indexing="ij")
    return np.rint(min(sides) * np.sqrt(sum(np.square(each) for each in waves))).astype(int)


def power_spectrum(fake: Images, batch: TermBatch, _key: Key) -> jax.Array:
    r"""Power spectrum: the squared logarithm of generated over real power, a mean over bands of wavenumbers.

    $$\frac{1}{|B|} \sum_{b \in B} \log^2 \frac{P_b(G(z)) + \epsilon}{P_b(x) + \epsilon}, \quad
    P_b(x) = \langle |F_k(x - \bar x)|^2 \rangle_{k \in b},$$

    F is the transform over the axes of space; the bar and the brackets are means over the batch. Epsilon is a thousandth of the
    strongest real band's power, or of the power of white noise with a deviation of 0.001 where all real samples are nearly
    alike. Too little power costs as much as too much by the same factor.

    Args:
        fake: `[B, ..., C]` with one to three axes of space, B at least 2.
        batch: real samples as `image`, of the same shape.

    Returns:
        `[B]`, one value for the whole batch, not negative.

    Raises:
        FieldError: when samples have no axis of space, or the batch holds one.

    References:
        Wu et al. 2020, Enforcing statistical constraints in generative adversarial networks for modeling chaotic dynamical
        systems, section 3 (a statistic of the data as a term); Durall et al. 2020, Watch your up-convolution, section 3.2.
    """
    if not 3 <= fake.ndim <= 5:
        raise FieldError("terms.power_spectrum", f"samples of shape {fake.shape[1:]}", "it takes signals, fields or volumes")
    if fake.shape[0] < 2:
        allowed = "it must have two or more: take a larger batch size, or a smaller accumulate (--accumulate)"
        raise FieldError("terms.power_spectrum", "an update of one sample", allowed)
    sides = fake.shape[1:-1]
    number = bands(sides)
    count = min(sides) // 2 + 1
    inside = np.eye(count)[np.minimum(number, count - 1)] * (number < count)[..., None]
    weights = jnp.asarray(inside / inside.reshape(-1, count).sum(0), fake.dtype)

    def powers(x: jax.Array) -> jax.Array:
        waves = jnp.fft.fftn(x - x.mean(axis=0)[None], axes=range(1, x.ndim - 1))
        squared = (jnp.square(waves.real) + jnp.square(waves.imag)).mean(axis=(0, -1))
        return jnp.tensordot(squared, weights, len(sides))

    real, made = powers(batch["image"]), powers(fake)
    least = LEAST_POWER * jnp.maximum(real.max(), _LEAST_DEVIATION**2 * math.prod(sides))
    return jnp.full(fake.shape[0], jnp.square(jnp.log(made + least) - jnp.log(real + least)).mean())
