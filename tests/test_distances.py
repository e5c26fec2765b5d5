import jax
import numpy as np
import pytest

from jaxgan.evaluation.metrics import balls, distances, neighbours
from jaxgan.evaluation.metrics.balls import radii, within
from jaxgan.evaluation.metrics.distances import bounds, exact_block, in_common_coordinates, squared
from jaxgan.evaluation.metrics.neighbours import nearest


def brute(a, b):
    return np.square(a[:, None].astype(np.float64) - b[None].astype(np.float64)).sum(axis=2)


def gaussian(draw, n):
    return draw.normal(size=(n, 11)).astype(np.float32)


def clusters_far_apart(draw, n):
    """Float32 sees none of the distances within a cluster."""
    return 1e4 * np.eye(11)[draw.integers(0, 3, n)] + 0.1 * draw.normal(size=(n, 11))


def clusters_farther_apart(draw, n):
    """Nor does a product in float64, not for many."""
    return 1e6 * np.eye(11)[draw.integers(0, 3, n)] + 2.0**-27 * draw.integers(-4, 5, (n, 11))


def far_from_the_origin(draw, n):
    return draw.normal(size=(n, 11)).astype(np.float32) + np.float32(1e5)


def duplicates(draw, n):
    return draw.normal(size=(7, 11))[draw.integers(0, 7, n)]


def ties(draw, n):
    return draw.integers(0, 3, (n, 11)).astype(np.float64)


def one_outlier(draw, n):
    x = draw.normal(size=(n, 11))
    x[0] *= 1e9
    return x


def huge(draw, n):
    return 1e30 * draw.normal(size=(n, 11)).astype(np.float32)


def tiny(draw, n):
    return 1e-30 * draw.normal(size=(n, 11)).astype(np.float32)


def all_the_same(draw, n):
    return np.full((n, 11), 0.1)


def halves(draw, n):
    return draw.normal(size=(n, 11)).astype(np.float16)


KINDS = [
    gaussian,
    clusters_far_apart,
    clusters_farther_apart,
    far_from_the_origin,
    duplicates,
    ties,
    one_outlier,
    huge,
    tiny,
    all_the_same,
    halves,
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])


@pytest.fixture(params=[16, 1024])
def rows(request, monkeypatch):
    """Many tiles with a rest, and one."""
    monkeypatch.setattr(distances, "ROWS", request.param)
    return request.param


@every_kind
def test_bounds_hold(kind, rows):
    draw = np.random.default_rng(0)
    x, y = kind(draw, 37), kind(draw, 21)
    a, b = in_common_coordinates(x, y)
    count = min(rows, 21)
    expected = brute(x[:count], y[:count]) * a.scale**2
    for blocks in ((a.blocks[0], b.blocks[0]), (exact_block(a, 0), exact_block(b, 0))):
        low, up = (np.asarray(each)[:count, :count] for each in bounds(*blocks, same=False))
        assert (low <= expected).all()
        assert (expected <= up).all()


def test_bounds_hold_where_rounding_all_goes_one_way():
    # Each product is a third of an ulp short, and the sum is long.
    x = np.full((2, 5_000), 1.0 + 2.0**-12 + 2.0**-22)
    x[0, ::2] += 2.0**-9
    x[1] = 0.0
    (a,) = in_common_coordinates(x.astype(np.float32))
    low, up = (np.asarray(each)[:2, :2] for each in bounds(a.blocks[0], a.blocks[0], same=False))
    expected = brute(x.astype(np.float32), x.astype(np.float32)) * a.scale**2
    assert (low <= expected).all()
    assert (expected <= up).all()
    assert (up - low).max() < 0.1  # or they would say nothing


def test_no_sample_is_infinitely_far(rows):
    (a,) = in_common_coordinates(np.random.default_rng(1).normal(size=(rows + 3, 4)))
    low, up = (np.asarray(each) for each in bounds(a.blocks[1], a.blocks[1], same=True))
    for each in (low, up):
        real = np.isfinite(each)
        assert real[:3, :3].sum() == 6
        assert real.sum() == 6
        assert not np.isnan(each).any()


def test_squared_does_not_depend_on_how_many_at_once(monkeypatch):
    draw = np.random.default_rng(2)
    x, y = draw.normal(size=(20, 300)), draw.normal(size=(30, 300)).astype(np.float32)
    i, j = draw.integers(0, 20, 100), draw.integers(0, 30, 100)
    whole = squared(x, i, y, j)
    np.testing.assert_array_equal(whole, brute(x, y)[i, j])
    for at_once in (1, 700):
        monkeypatch.setattr(distances, "_AT_ONCE", at_once)
        np.testing.assert_array_equal(squared(x, i, y, j), whole)


@every_kind
@pytest.mark.parametrize("k", [1, 3, 20])
def test_the_nearest_are_those_of_float64(kind, k, rows):
    draw = np.random.default_rng(3)
    x, y = kind(draw, 67), kind(draw, 45)
    expected = brute(x, y)
    a, b = in_common_coordinates(x, y)
    found = nearest(a, b, k)
    np.testing.assert_array_equal(found.indices, np.argsort(expected, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(found.squared, np.sort(expected, axis=1)[:, :k])
    own = brute(x, x)
    np.fill_diagonal(own, np.inf)
    found = nearest(a, a, k)
    np.testing.assert_array_equal(found.indices, np.argsort(own, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(found.squared, np.sort(own, axis=1)[:, :k])
    np.testing.assert_array_equal(radii(a, k), found.squared[:, -1])


def test_all_others_may_be_asked_for(rows):
    x = np.random.default_rng(4).normal(size=(70, 5))
    (a,) = in_common_coordinates(x)
    own = brute(x, x)
    np.fill_diagonal(own, np.inf)
    np.testing.assert_array_equal(nearest(a, a, 69).squared, np.sort(own, axis=1)[:, :69])


@every_kind
@pytest.mark.parametrize("closed", [False, True])
def test_balls_hold_what_float64_says(kind, closed, rows):
    draw = np.random.default_rng(5)
    x, y = kind(draw, 67), kind(draw, 45)
    y[:9] = x[:9]
    a, b = in_common_coordinates(x, y)
    expected, r, s = brute(x, y), radii(a, 3), radii(b, 3)
    in_a, in_b = (expected <= r[:, None], expected <= s) if closed else (expected < r[:, None], expected < s)
    found = within(a, b, r, s, closed=closed)
    np.testing.assert_array_equal(found.b_around_a, in_a.sum(axis=1))
    np.testing.assert_array_equal(found.balls_of_a, in_a.sum(axis=0))
    np.testing.assert_array_equal(found.balls_of_b, in_b.sum(axis=1))


@pytest.mark.parametrize("waiting", [-1, 50])
def test_candidates_do_not_pile_up(waiting, monkeypatch):
    monkeypatch.setattr(distances, "ROWS", 16)
    x = np.random.default_rng(6).normal(size=(80, 5))
    (a,) = in_common_coordinates(x)
    whole = nearest(a, a, 4)
    monkeypatch.setattr(neighbours, "_WAITING", waiting)
    settled = []
    settle = neighbours._Search.settle
    monkeypatch.setattr(neighbours._Search, "settle", lambda self: (settled.append(len(self.waiting)), settle(self)))
    for found, expected in zip(nearest(a, a, 4), whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(settled) > 5


def test_float64_is_asked_where_float32_is_too_coarse_and_only_there(monkeypatch):
    asked = []
    monkeypatch.setattr(distances, "exact_block", lambda points, index: asked.append(index) or exact_block(points, index))
    draw = np.random.default_rng(7)
    taken = []
    monkeypatch.setattr(distances, "squared", lambda a, i, b, j: taken.append(len(i)) or squared(a, i, b, j))
    for kind, coarse in ((gaussian, False), (clusters_far_apart, True)):
        a, b = in_common_coordinates(kind(draw, 900), kind(draw, 800))
        asked.clear()
        taken.clear()
        within(a, b, radii(a, 3), radii(b, 3), closed=False)
        assert bool(asked) == coarse
        assert sum(taken) < 6 * 1700  # of 1.3 million pairs


def test_a_set_has_balls_around_itself(rows):
    x = np.random.default_rng(9).normal(size=(50, 4))
    (a,) = in_common_coordinates(x)
    r = radii(a, 2)
    inside = brute(x, x) <= r[:, None]
    assert (within(a, a, r, r, closed=True).b_around_a == inside.sum(axis=1)).all()
    assert (within(a, a, r, r, closed=True).balls_of_b == inside.sum(axis=0)).all()


def test_two_samples_are_enough():
    (a,) = in_common_coordinates(np.array([[1.0], [3.0]]))
    np.testing.assert_array_equal(nearest(a, a, 1).squared, [[4.0], [4.0]])
    np.testing.assert_array_equal(nearest(a, a, 1).indices, [[1], [0]])


def test_x64_stays_as_it_was():
    (a,) = in_common_coordinates(np.random.default_rng(8).normal(size=(10, 3)))
    nearest(a, a, 1)
    assert a.blocks[0].x.dtype == np.float32
    assert not jax.config.jax_enable_x64
    assert balls.within(a, a, np.ones(10), np.ones(10), closed=True).b_around_a.dtype == np.int64
