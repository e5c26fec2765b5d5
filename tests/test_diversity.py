import numpy as np
import pytest

from jaxgan.evaluation.metrics.diversity import diversity, vendi_score


def by_definition(x):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    share = np.linalg.eigvalsh(unit @ unit.T / len(x))
    share = share[share > 1e-12]
    return np.exp(-np.sum(share * np.log(share)))


@pytest.mark.parametrize(("n", "size"), [(30, 5), (5, 30), (12, 12)])
def test_equals_the_definition_through_either_matrix(n, size):
    x = np.random.default_rng(n).normal(0.5, 1.0, (n, size))
    assert vendi_score(x) == pytest.approx(by_definition(x), rel=1e-9)
    assert vendi_score(x.astype(np.float32)) == pytest.approx(by_definition(x), rel=1e-5)


def test_copies_count_once_and_orthogonal_samples_each():
    assert vendi_score(np.full((50, 8), 3.0)) == pytest.approx(1.0, abs=1e-9)
    assert vendi_score(np.eye(8) * np.arange(1, 9)) == pytest.approx(8.0, rel=1e-12)
    assert vendi_score(np.repeat(np.eye(4), 25, axis=0)) == pytest.approx(4.0, rel=1e-12)


def test_it_sees_directions_whatever_their_size():
    x = np.random.default_rng(0).normal(size=(40, 6))
    sizes = np.logspace(-200, 200, 40)[:, None]
    assert vendi_score(x * sizes) == pytest.approx(vendi_score(x), rel=1e-9)


def test_spread_is_the_root_mean_square_distance():
    x = np.random.default_rng(1).normal(100.0, 2.0, (25, 3))
    pairs = [np.square(x[i] - x[j]).sum() for i in range(25) for j in range(25) if i != j]
    assert diversity(x).spread == pytest.approx(np.sqrt(np.mean(pairs)), rel=1e-12)


def test_collapse_within_classes_is_seen():
    draw = np.random.default_rng(2)
    labels = np.arange(200) % 10
    varied = draw.normal(size=(200, 16))
    collapsed = draw.normal(size=(10, 16))[labels] + 1e-3 * draw.normal(size=(200, 16))
    assert diversity(collapsed).vendi > 5.0  # ten pictures, nearly orthogonal
    within = diversity(collapsed, labels)
    assert within.vendi == pytest.approx(1.0, abs=0.01)
    assert within.spread < 0.01
    by_class = [diversity(varied[labels == one]) for one in range(10)]
    np.testing.assert_allclose(diversity(varied, labels), np.mean(by_class, axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (np.zeros(9), None, r"features: shape \(9,\), but"),
        (np.full((9, 2), np.inf), None, "features: 18 of 18 features are not finite, but"),
        (np.eye(9)[:, :7], None, "features: 2 of 9 rows are zero, but"),
        (np.ones((1, 2)), None, "features: 1 samples, but there must be at least 2"),
        (np.ones((4, 2)), np.zeros(3, int), r"labels: int64 of shape \(3,\), but they must be integers of shape \[4\]"),
        (np.ones((4, 2)), np.zeros(4), r"labels: float64 of shape \(4,\), but"),
        (np.ones((4, 2)), np.array([0, 0, 0, 7]), "labels: 1 sample of class 7, but"),
    ],
)
def test_bad_input_is_one_line(x, labels, message):
    with pytest.raises(ValueError, match=message) as error:
        diversity(x, labels)
    assert "\n" not in str(error.value)
