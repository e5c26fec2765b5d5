"""Checks that every metric makes of its features."""

import numpy as np

from jaxgan.system.messages import FieldError


def checked(name: str, features: np.ndarray, *, least: int = 1) -> np.ndarray:
    """Returns features as an array of floats; refuses those of a wrong shape, too few, or not finite.

    Args:
        name: of the argument, for the error.
        features: `[N, D]`.
        least: the fewest samples there may be.

    Returns:
        The features, `[N, D]`, float16, float32 or float64 as they are; integers become float64.

    Raises:
        ValueError: when the shape does not fit, there are too few samples, or a feature is not finite.
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] < 1:
        raise FieldError(name, f"shape {features.shape}", "it must be [N, D], a row of features for each sample")
    if len(features) < least:
        raise FieldError(name, f"{len(features)} samples", f"there must be at least {least}")
    if not np.issubdtype(features.dtype, np.floating):
        features = features.astype(np.float64)
    finite = np.isfinite(features)
    if not finite.all():
        raise FieldError(name, f"{finite.size - finite.sum()} of {finite.size} features are not finite", "they must be")
    return features


def checked_pair(
    real: np.ndarray, fake: np.ndarray, *, names: tuple[str, str] = ("real", "fake"), least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """`checked` for two sets whose samples must have the same number of features."""
    real, fake = checked(names[0], real, least=least), checked(names[1], fake, least=least)
    if real.shape[1] != fake.shape[1]:
        raise FieldError(
            f"{names[0]}, {names[1]}", f"{real.shape[1]} and {fake.shape[1]} features a sample", "they must be as many"
        )
    return real, fake
