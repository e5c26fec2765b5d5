"""Ellipsoids of any place and size with soft edges, whose parameters follow from the moments of a volume."""

from typing import NamedTuple

import numpy as np

from jaxgan.data.generated import draws

SIDE = 16
RADII = (1.2, 2.8)  # deviations along each axis, in places
CENTRES = (4.5, 10.5)
PEAK = 1000  # counts
COUNTS = {"train": 4096, "test": 1024}


class Parameters(NamedTuple):
    """The parameters of volumes."""

    centre: np.ndarray  # [N, 3] in places
    radii: np.ndarray  # [N, 3] deviation along each axis, in places
    misfit: np.ndarray  # [N] share of the volume's power that an ellipsoid with these does not explain


def ellipsoids(centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Returns `exp(-sum_i (x_i - centre_i)^2 / (2 radii_i^2))`, `[N, 16, 16, 16]`, of `[N, 3]` centres and radii."""
    far = (np.arange(SIDE) - centre[..., None]) / radii[..., None]
    along = np.exp(-0.5 * np.square(far))
    found: np.ndarray = along[:, 0, :, None, None] * along[:, 1, None, :, None] * along[:, 2, None, None, :]
    return found


def samples(split: str) -> np.ndarray:
    """Returns ellipsoids with centres and radii drawn uniformly.

    Args:
        split: train or test.

    Returns:
        `[N, 16, 16, 16, 1]` int16, counts from 0 to 1,000.
    """
    shares = (draws.uniform("volumes", split, i, (COUNTS[split], 3)) for i in range(2))
    centre, radii = (low + (high - low) * each for (low, high), each in zip((CENTRES, RADII), shares, strict=True))
    return np.rint(PEAK * ellipsoids(centre, radii)).astype(np.int16)[..., None]


def recover(volumes: np.ndarray) -> Parameters:
    """Returns centre and radii of volumes by their first and second moments; values below 2 % of the peak are ignored.

    Args:
        volumes: `[N, 16, 16, 16, 1]`.
    """
    x = volumes[..., 0].astype(np.float64)
    weight = np.where(x > 0.02 * PEAK, x, 0.0) + 1e-9
    mass = weight.sum((1, 2, 3))
    places = np.arange(SIDE, dtype=np.float64)
    margins = [weight.sum(axes) / mass[:, None] for axes in ((2, 3), (1, 3), (1, 2))]
    centre = np.stack([margin @ places for margin in margins], axis=1)
    spread = [(margin * np.square(places - c[:, None])).sum(1) for margin, c in zip(margins, centre.T, strict=True)]
    radii = np.sqrt(np.maximum(np.stack(spread, axis=1), 1e-6))
    fitted = ellipsoids(centre, radii)
    along = (fitted * x).sum((1, 2, 3))
    explained = np.square(along) / np.maximum(np.square(fitted).sum((1, 2, 3)) * np.square(x).sum((1, 2, 3)), 1e-12)
    return Parameters(centre, radii, 1.0 - explained)
