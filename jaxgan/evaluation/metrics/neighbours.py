"""Nearest neighbours, exact, in tiles, so that no whole matrix of distances is ever held."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from jaxgan.evaluation.metrics import distances
from jaxgan.evaluation.metrics.distances import Array, Block, Points

_OPEN = 16  # a tile with more than one candidate in so many pairs, beside those there must be, is done again in float64
_WAITING = 2**22  # candidates that wait until their exact distances are taken, 100 MiB
_FAR = float(np.finfo(np.float32).max)  # where there is no sample, bounds are inf


class Neighbours(NamedTuple):
    """The nearest samples of each sample in order of distance; ties are in the order of their index."""

    squared: np.ndarray  # [N, k] float64, squared distances
    indices: np.ndarray  # [N, k] int64


class _Candidates(NamedTuple):
    """Pairs of a tile that may be among the nearest neighbours."""

    block: int  # of the query
    upper: np.ndarray  # [ROWS, k] the k least upper bounds on distances so far, with this tile
    i: np.ndarray  # [P]
    j: np.ndarray  # [P]
    low: np.ndarray  # [P] what the squared distance times scale^2 is at least


def nearest(query: Points, reference: Points, k: int) -> Neighbours:
    """The k nearest reference samples of each query sample; of a set with itself, the k nearest other ones."""
    same = query is reference
    search = _Search(query, reference, k)
    most = distances.ROWS * (distances.ROWS // _OPEN + 2 * k)

    def on_device(i: int, j: int) -> tuple[Array, ...]:
        return _device_tile(query.blocks[i], reference.blocks[j], groups=search.groups, same=same and i == j)

    for i, j, tile in distances.tiles(query, reference, on_device, symmetric=same):
        picked = search.candidates(i, j, tile)
        if max(len(each.i) for each in picked) > most:
            a, b = distances.exact_block(query, i), distances.exact_block(reference, j)
            picked = search.candidates(i, j, _tile(a, b, groups=search.groups, same=same and i == j))
        search.keep(picked)
    search.settle()
    return search.found


def _tile(a: Block, b: Block, *, groups: int, same: bool) -> tuple[Array, ...]:
    """Lower bounds, and of each row and of each column the least upper bound in each of several groups, `[ROWS, groups]`."""
    low, up = distances.bounds(a, b, same=same)
    rows = len(up)
    # Strided groups: the minimum is over whole vectors, not inside of them.
    return low, up.reshape(rows, -1, groups).min(axis=1), up.reshape(-1, groups, rows).min(axis=0).T


_device_tile = partial(jax.jit, static_argnames=("groups", "same"))(_tile)


class _Search:
    """The k nearest so far, and candidates whose exact distances have not been taken."""

    def __init__(self, query: Points, reference: Points, k: int):
        self.query, self.reference, self.k = query, reference, k
        self.found = Neighbours(np.full((len(query.x), k), np.inf), np.full((len(query.x), k), -1))
        # The nearest in each of several groups are different samples: the k-th of their upper bounds is one for the k-th
        # nearest sample.
        self.groups = min(distances.ROWS, max(32, 1 << (2 * k - 1).bit_length()))
        self.upper = np.full((len(query.blocks), distances.ROWS, k), np.inf)
        self.waiting: list[_Candidates] = []

    def candidates(self, i: int, j: int, tile: tuple[Array, ...]) -> list[_Candidates]:
        """Picks the candidates of a tile: for its rows, and for its columns where these are samples of the query as well."""
        low, in_rows, in_columns = (np.asarray(each) for each in tile)
        sides = [(i, j, in_rows, 0)]
        if self.query is self.reference and i != j:
            sides.append((j, i, in_columns, 1))
        picked = []
        for block, other, smallest, axis in sides:
            upper = np.concatenate([self.upper[block], smallest], axis=1)
            upper.partition(self.k - 1, axis=1)
            limit = np.minimum(upper[:, self.k - 1], self._farthest(block))
            pairs = np.flatnonzero(low <= np.expand_dims(limit.astype(low.dtype), 1 - axis))
            index = np.divmod(pairs, distances.ROWS)
            start, start_of_other = block * distances.ROWS, other * distances.ROWS
            least = low.ravel()[pairs]
            picked.append(_Candidates(block, upper[:, : self.k], index[axis] + start, index[1 - axis] + start_of_other, least))
        return picked

    def keep(self, picked: list[_Candidates]) -> None:
        for each in picked:
            self.upper[each.block] = each.upper
        self.waiting += picked
        if sum(len(each.i) for each in self.waiting) > _WAITING:
            self.settle()

    def settle(self) -> None:
        """Computes the exact distances of the candidates that may still be among the nearest."""
        if not self.waiting:
            return
        i, j, low = (np.concatenate(each) for each in zip(*((c.i, c.j, c.low) for c in self.waiting), strict=True))
        self.waiting.clear()
        limit = np.concatenate([np.minimum(u.max(axis=1), self._farthest(b)) for b, u in enumerate(self.upper)])
        open_still = low <= limit[i]
        i, j = i[open_still], j[open_still]
        squared = distances.squared(self.query.x, i, self.reference.x, j)
        rows = np.arange(len(self.query.x))
        i = np.concatenate([np.repeat(rows, self.k), i])
        j = np.concatenate([self.found.indices.ravel(), j])
        squared = np.concatenate([self.found.squared.ravel(), squared])
        order = np.lexsort((j, squared, i))
        first = np.searchsorted(i[order], rows)  # of each sample, which has k or more: those found before
        best = order[first[:, None] + np.arange(self.k)]
        self.found = Neighbours(squared[best], j[best])

    def _farthest(self, block: int) -> np.ndarray:
        """The exact distance of the k-th nearest found, in common coordinates, `[ROWS]`."""
        exact = self.found.squared[block * distances.ROWS : (block + 1) * distances.ROWS, -1] * self.query.scale**2
        return np.minimum(np.pad(exact, (0, distances.ROWS - len(exact)), constant_values=np.inf), _FAR)
