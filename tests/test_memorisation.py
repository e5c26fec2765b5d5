import math

import numpy as np
import pytest

from jaxgan.evaluation.metrics.memorisation import memorisation, nearest


def by_definition(train, fake, unseen_to_train, spacing, unseen_spacing):
    to_train = np.linalg.norm(fake[:, None] - train[None], axis=2)
    t, index = to_train.min(axis=1), to_train.argmin(axis=1)
    m, n = len(t), len(unseen_to_train)
    u = sum((a > b) + 0.5 * (a == b) for a in t for b in unseen_to_train)
    return (
        (t <= np.quantile(unseen_to_train, 0.01)).mean(),
        np.median(t) / np.median(unseen_to_train),
        (u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12),
        (t > spacing[index]).mean(),
        (unseen_to_train > unseen_spacing).mean(),
    )


def within(x):
    distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return distance


def test_equals_the_definition_with_held_out_samples():
    draw = np.random.default_rng(0)
    train, held_out, fake = draw.normal(size=(60, 3)), draw.normal(size=(40, 3)), 0.9 * draw.normal(size=(50, 3))
    fake[:5] = train[:5]
    across = np.linalg.norm(held_out[:, None] - train[None], axis=2)
    spacing = within(train).min(axis=1)
    expected = by_definition(train, fake, across.min(axis=1), spacing, spacing[across.argmin(axis=1)])
    found = memorisation(train, fake, held_out)
    np.testing.assert_allclose(found[:5], expected, rtol=1e-12)
    assert 0.0 < found.copied < 1.0


def test_equals_the_definition_with_each_training_sample_left_out():
    draw = np.random.default_rng(1)
    train, fake = draw.normal(size=(60, 3)), draw.normal(size=(50, 3))
    distance = within(train)
    unseen_spacing = []
    for i in range(60):
        others = np.delete(np.arange(60), i)
        found = within(train[others]).min(axis=1)
        unseen_spacing.append(found[distance[i, others].argmin()])
    expected = by_definition(train, fake, distance.min(axis=1), distance.min(axis=1), np.array(unseen_spacing))
    np.testing.assert_allclose(memorisation(train, fake)[:5], expected, rtol=1e-12)


def test_a_copier_is_caught_and_its_sources_named():
    draw = np.random.default_rng(2)
    train, held_out = draw.normal(size=(2, 400, 8))
    source = draw.integers(0, 400, 300)
    found = memorisation(train, train[source] + 1e-6 * draw.normal(size=(300, 8)), held_out)
    assert found.copied == 1.0
    assert found.ratio < 1e-4
    assert found.three_sample < -10
    assert found.authenticity == 0.0
    np.testing.assert_array_equal(found.nearest.indices, source)


@pytest.mark.parametrize("held_out", [True, False])
def test_a_perfect_sampler_scores_the_floors(held_out):
    draw = np.random.default_rng(3)
    train, fake, unseen = draw.uniform(size=(3, 3000, 2))
    found = memorisation(train, fake, unseen if held_out else None)
    # Within four standard deviations of one sampling, binomial; the quantile is one as well.
    assert found.copied == pytest.approx(0.01, abs=4 * math.sqrt(2 * 0.01 / 3000))
    assert found.ratio == pytest.approx(1.0, abs=0.08)
    assert abs(found.three_sample) < (4 if held_out else 6)
    # Two nearest neighbours in the plane are mutual with probability 0.6215.
    for share in (found.authenticity, found.authenticity_unseen):
        assert share == pytest.approx(0.3785, abs=4 * math.sqrt(0.25 / 3000))


def test_a_poor_generator_copies_nothing():
    draw = np.random.default_rng(4)
    train, held_out = draw.normal(size=(2, 300, 4))
    found = memorisation(train, draw.normal(size=(200, 4)) + 20, held_out)
    assert found.copied == 0.0
    assert found.ratio > 5
    assert found.three_sample > 10
    assert found.authenticity == 1.0


def test_held_out_samples_that_are_training_samples_give_no_ratio():
    train = np.random.default_rng(5).normal(size=(20, 2))
    assert math.isnan(memorisation(train, train[:6], train).ratio)
    assert memorisation(train, train[:6] + 1, train).ratio == math.inf


def test_nearest_is_the_first_of_the_nearest():
    reference = np.array([[0.0], [4.0], [4.0], [-1.0]])
    found = nearest(np.array([[3.5], [2.0], [-0.5]]), reference)
    np.testing.assert_array_equal(found.indices, [1, 0, 0])
    np.testing.assert_array_equal(found.distances, [0.5, 2.0, 0.5])
    found = nearest(reference)
    np.testing.assert_array_equal(found.indices, [3, 2, 1, 0])
    np.testing.assert_array_equal(found.distances, [1.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest(np.zeros((1, 2))), "query: 1 samples, but there must be at least 2"),
        (lambda: nearest(np.zeros((3, 2)), np.zeros((3, 4))), "query, reference: 2 and 4 features a sample, but"),
        (lambda: memorisation(np.zeros((2, 2)), np.zeros((3, 2))), "train: 2 samples, but there must be at least 3"),
        (lambda: memorisation(np.zeros((3, 2)), np.zeros((3, 4))), "train, fake: 2 and 4 features a sample, but"),
        (lambda: memorisation(*np.zeros((2, 3, 2)), np.zeros((3, 4))), "train, held_out: 2 and 4 features a sample, but"),
        (lambda: memorisation(*np.zeros((2, 3, 2)), np.full((3, 2), np.nan)), "held_out: 6 of 6 features are not finite"),
        (lambda: memorisation(np.zeros((3, 2)), np.full((3, 2), np.nan)), "fake: 6 of 6 features are not finite"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
