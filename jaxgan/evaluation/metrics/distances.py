"""Euclidean distances between many samples, fast and yet exact: float32 products on the device, each with a bound on its
error, and float64 for the pairs whose place the bound leaves open.

The exact squared distance of a pair is `squared` of it: float64 differences, squared and summed. Every comparison comes out
as with that, ties between duplicates included.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray
T = TypeVar("T")

ROWS = 1024  # of a block: a tile of distances is 4 MiB, which caches hold
_AT_ONCE = 2**20  # float64 differences held at a time, 8 MiB
# What flushing numbers below 2^-126 to zero can add up to, with room; norms are at most 1.
_TINY = 2.0**-90


class Block(NamedTuple):
    """Rows of a set, moved and scaled so that the largest norm of all sets is 1; beyond the last sample, zeros."""

    x: Array  # [ROWS, D]
    low: Array  # [ROWS] |x|^2 less its share in the error of a squared distance; inf beyond the last sample
    up: Array  # [ROWS] |x|^2 and that share


class Points(NamedTuple):
    """A set of samples, ready for distances to the sets of the same coordinates."""

    x: np.ndarray  # [N, D] as given
    origin: np.ndarray  # [D] float64: the nearer to zero, the less cancels in x^2 + y^2 - 2 x y
    scale: float  # a power of two, so that scaling rounds nothing
    blocks: tuple[Block, ...]  # float32, on the device


def in_common_coordinates(*sets: np.ndarray) -> tuple[Points, ...]:
    """Puts sets of samples `[N, D]` into common coordinates, with their float32 blocks on the device."""
    total = sum(len(x) for x in sets)
    origin = sum((x.sum(axis=0, dtype=np.float64) for x in sets), np.zeros(sets[0].shape[1])) / total
    largest = max(float(np.square(part).sum(axis=1).max()) for x in sets for part in _centred(x, origin, 1.0))
    # Its square is a number as well.
    scale = float(2.0 ** np.clip(-np.ceil(np.log2(largest) / 2), -500, 500)) if largest > 0 else 1.0

    def blocks(x: np.ndarray) -> tuple[Block, ...]:
        return tuple(jax.tree.map(jnp.asarray, _block(part, np.float32)) for part in _centred(x, origin, scale))

    return tuple(Points(x, origin, scale, blocks(x)) for x in sets)


def _centred(x: np.ndarray, origin: np.ndarray, scale: float) -> Iterator[np.ndarray]:
    for start in range(0, len(x), ROWS):
        yield (x[start : start + ROWS] - origin) * scale


def _block(x: np.ndarray, dtype: type) -> Block:
    """Rows in a precision, with their share in the error of `low + low - 2 x . y` as a squared distance.

    With u the unit roundoff and n = D + 16, the product of two rows is wrong by at most `n u |x| |y|` in whatever order
    it is summed, which is `n u (|x|^2 + |y|^2) / 2`; rounding the rows, their norms and the sum is in the 16. Eight times
    as much is allowed for, since an accelerator may make one float32 product of six bfloat16 ones. That leaves about one
    pair in ten thousand open, which is next to nothing.
    """
    norm = np.square(x).sum(axis=1)
    share = 8 * (x.shape[1] + 16) * np.finfo(dtype).eps / 2 * norm + _TINY
    rest = ROWS - len(x)
    low, up = (norm - share).astype(dtype), (norm + share).astype(dtype)
    margins = [np.concatenate([each, np.full(rest, np.inf, dtype)]) for each in (low, up)]
    return Block(np.pad(x, ((0, rest), (0, 0))).astype(dtype), *margins)


def exact_block(points: Points, index: int) -> Block:
    """The block in float64, on the host, for tiles where float32 leaves too much open."""
    rows = points.x[index * ROWS : (index + 1) * ROWS]
    return _block((rows - points.origin) * points.scale, np.float64)


def bounds(a: Block, b: Block, *, same: bool) -> tuple[Array, Array]:
    """Bounds each squared distance, times scale^2, from below and above, `[ROWS, ROWS]`; inf where there is no sample,
    and from a sample to itself when the blocks are the same."""
    on_host = isinstance(a.x, np.ndarray)
    product: Array = a.x @ b.x.T if on_host else jnp.matmul(a.x, b.x.T, precision=jax.lax.Precision.HIGHEST)
    low, up = (x[:, None] + y[None, :] - 2.0 * product for x, y in ((a.low, b.low), (a.up, b.up)))
    if not same:
        return low, up
    where, own = np.where if on_host else jnp.where, np.eye(len(a.x), dtype=bool)
    return where(own, np.inf, low), where(own, np.inf, up)


def squared(a: np.ndarray, i: np.ndarray, b: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Exact squared distances of the pairs `(a[i], b[j])`, `[P]` float64."""
    found = np.empty(len(i))
    at_once = max(1, _AT_ONCE // a.shape[1])
    for start in range(0, len(i), at_once):
        part = slice(start, start + at_once)
        difference = np.subtract(a[i[part]], b[j[part]], dtype=np.float64)
        found[part] = np.square(difference, out=difference).sum(axis=1)
    return found


def padded(values: np.ndarray, points: Points, fill: float) -> np.ndarray:
    """One value for each sample, split into blocks: `[blocks, ROWS]`."""
    count = len(points.blocks)
    return np.pad(values, (0, count * ROWS - len(values)), constant_values=fill).reshape(count, ROWS)


def tiles(rows: Points, columns: Points, found: Callable[[int, int], T], *, symmetric: bool) -> Iterator[tuple[int, int, T]]:
    """Computes something on the device for each pair of blocks; when symmetric, for those on and above the diagonal.

    The next tile is begun before one is handed out, so that the device works while the host looks at it.
    """
    begun: tuple[int, int, T] | None = None
    for i in range(len(rows.blocks)):
        for j in range(i if symmetric else 0, len(columns.blocks)):
            following = (i, j, found(i, j))
            if begun is not None:
                yield begun
            begun = following
    if begun is not None:
        yield begun
