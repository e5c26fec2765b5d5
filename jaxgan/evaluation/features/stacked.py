"""The modes of Stacked-MNIST: three digits, one in each channel, told by a classifier."""

import jax
import numpy as np

from jaxgan.evaluation.features.classifiers import Classifier, check_images, predict
from jaxgan.evaluation.metrics.modes import ModeCoverage, mode_coverage
from jaxgan.system.messages import FieldError

MODES = 1000
# Of each digit among MNIST's 60,000 training images: what a perfect sampler of Stacked-MNIST draws its channels from.
_DIGITS = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000


def mode_shares() -> np.ndarray:
    """The share of each mode in Stacked-MNIST's training split, `[1000]`; the field compares with equal ones."""
    return np.einsum("i,j,k->ijk", _DIGITS, _DIGITS, _DIGITS).ravel()


def stacked_mnist_modes(images: np.ndarray | jax.Array, classifier: Classifier, *, batch_size: int = 50) -> np.ndarray:
    """The mode of each image, `100 d_0 + 10 d_1 + d_2` with d_c the digit that the classifier sees in channel c.

    Args:
        images: `[N, 28, 28, 3]`, or `[N, 32, 32, 3]` with two pixels of padding on each side, uint8 or floats in [-1, 1].
        classifier: of MNIST, `features.classifier("mnist")`.
        batch_size: images at a time, three digits each.

    Returns:
        `[N]` int32 in [0, 1000), the numbers that the labels of the data set `stacked_mnist` are.

    Raises:
        ValueError: as `predict`, and when the classifier is none of ten grey digits.
    """
    height, width, channels = classifier.shape
    if channels != 1 or classifier.classes != 10:
        raise FieldError(
            "classifier", f"{classifier.name} has {channels} channels and {classifier.classes} classes", "digits have 1 and 10"
        )
    images = np.asarray(images)
    check_images(images, (height, width, 3))
    digits = [np.zeros(0, np.int32)]
    for start in range(0, len(images), batch_size):
        planes = np.moveaxis(images[start : start + batch_size], -1, 1)
        digits.append(predict(classifier, planes.reshape(-1, *images.shape[1:3], 1), batch_size=3 * batch_size))
    return np.concatenate(digits).reshape(-1, 3) @ np.array([100, 10, 1], np.int32)


def stacked_mnist_coverage(
    images: np.ndarray | jax.Array, classifier: Classifier, *, weights: np.ndarray | None = None
) -> ModeCoverage:
    """Mode coverage of generated Stacked-MNIST images; `mode_coverage_floor(1000, n)` is its floor.

    The protocol of PacGAN: 26,000 samples of 28 pixels, each channel classified, a mode counts with at least one sample,
    and the reverse Kullback-Leibler divergence is that of the histogram of modes from the uniform one. R3GAN's is the same
    at 32 pixels, its digits padded by zeros.

    Args:
        images: as for `stacked_mnist_modes`; N at least 1,000.
        classifier: of MNIST, `features.classifier("mnist")`.
        weights: the true share of each mode, `[1000]`; equal when None, as the field has it.

    Returns:
        A `ModeCoverage`.

    Raises:
        ValueError: as `stacked_mnist_modes` and `mode_coverage`.

    References:
        Lin et al. 2018, PacGAN, section 4.2; Metz et al. 2017, Unrolled GANs, section 3.3.1; Huang et al. 2024, The GAN
        is dead; long live the GAN! (R3GAN), section 4.
    """
    if len(images) < MODES:  # before minutes of classifying
        raise FieldError("n", len(images), f"{MODES} modes need at least as many samples")
    return mode_coverage(stacked_mnist_modes(images, classifier), MODES, weights=weights)
