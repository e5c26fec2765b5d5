"""Neighbourhoods: balls around samples, and exact counts of the samples inside them."""

from hashlib import blake2b
from typing import NamedTuple

import jax
import numpy as np

from jaxgan.evaluation.metrics import distances, neighbours
from jaxgan.evaluation.metrics.distances import Array, Block, Points

_OPEN = 64  # a tile with more than one pair in so many left open is done again in float64


class Within(NamedTuple):
    """Counts of samples in balls around the samples of a and of b, each with a radius of its own."""

    b_around_a: np.ndarray  # [N] int64, how many samples of b are in the ball around each a
    balls_of_a: np.ndarray  # [M] int64, how many balls around samples of a hold each b
    balls_of_b: np.ndarray  # [N] int64, how many balls around samples of b hold each a


def radii(points: Points, nearest: int) -> np.ndarray:
    """Computes the squared distance from each sample to its `nearest`-th other one, `[N]` float64.

    Samples that are alike in every bit are searched for once: a collapsed generator makes thousands of them, and all
    distances between those are ties.
    """
    seen: dict[bytes, int] = {}
    position = np.array([seen.setdefault(blake2b(row.tobytes()).digest(), len(seen)) for row in points.x])
    if len(seen) == len(position):
        return neighbours.nearest(points, points, nearest).squared[:, -1]
    first, counts = np.unique(position, return_index=True, return_counts=True)[1:]
    if len(first) == 1:
        return np.zeros(len(position))
    (different,) = distances.in_common_coordinates(points.x[first])
    found = neighbours.nearest(different, different, min(nearest, len(first) - 1))
    as_near = (counts - 1)[:, None] + counts[found.indices].cumsum(axis=1)  # how many others are at most so far away
    column = (as_near < nearest).sum(axis=1)
    radius = np.where(counts > nearest, 0.0, np.take_along_axis(found.squared, column[:, None], axis=1)[:, 0])
    return radius[position]


def within(a: Points, b: Points, a_radius: np.ndarray, b_radius: np.ndarray, *, closed: bool) -> Within:
    """Counts the pairs with `d_ij^2 < radius^2`, or `<=` of closed balls; radii are given squared, `[N]` and `[M]`."""
    around_a, around_b = (distances.padded(r * a.scale**2, p, -np.inf) for r, p in ((a_radius, a), (b_radius, b)))
    narrow_a, narrow_b = around_a.astype(np.float32), around_b.astype(np.float32)
    counts = Within(*(np.zeros(len(p.blocks) * distances.ROWS, np.int64) for p in (a, b, a)))

    def on_device(i: int, j: int) -> tuple[Array, ...]:
        return _device_tile(a.blocks[i], b.blocks[j], narrow_a[i], narrow_b[j])

    for i, j, tile in distances.tiles(a, b, on_device, symmetric=False):
        if int(tile[0]) > distances.ROWS**2 // _OPEN:
            tile = _tile(distances.exact_block(a, i), distances.exact_block(b, j), around_a[i], around_b[j])
        left_open, sure = np.flatnonzero(np.asarray(tile[1])) if int(tile[0]) else np.empty(0, np.int64), tile[2:]
        starts = [block * distances.ROWS for block in (i, j, i)]
        for count, start, number in zip(counts, starts, sure, strict=True):
            count[start : start + distances.ROWS] += np.asarray(number)
        x, y = np.divmod(left_open, distances.ROWS)
        x, y = x + starts[0], y + starts[1]
        exact = distances.squared(a.x, x, b.x, y)
        compare = np.less_equal if closed else np.less
        in_a, in_b = compare(exact, a_radius[x]), compare(exact, b_radius[y])
        for count, index in zip(counts, (x[in_a], y[in_a], x[in_b]), strict=True):
            count += np.bincount(index, minlength=len(count))
    return Within(*(count[: len(p.x)] for count, p in zip(counts, (a, b, a), strict=True)))


def _tile(a: Block, b: Block, a_radius: Array, b_radius: Array) -> tuple[Array, ...]:
    """Counts and marks the pairs left open, and counts the others in each ball, as the fields of `Within`."""
    low, up = distances.bounds(a, b, same=False)
    in_a, in_b = up < a_radius[:, None], up < b_radius[None, :]
    left_open = ((low <= a_radius[:, None]) ^ in_a) | ((low <= b_radius[None, :]) ^ in_b)
    in_a, in_b = in_a & ~left_open, in_b & ~left_open
    return left_open.sum(), left_open, in_a.sum(axis=1), in_a.sum(axis=0), in_b.sum(axis=1)


_device_tile = jax.jit(_tile)
