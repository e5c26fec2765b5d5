"""Train on synthetic, test on real: the accuracy on real samples of a classifier that was fitted to generated ones only."""

import numpy as np
from scipy.optimize import minimize

from jaxgan.evaluation.metric import KEPT, Metric, Score, Scores, Statistics
from jaxgan.evaluation.metrics.checks import checked_pair
from jaxgan.system.messages import FieldError

_DECAY = 1e-3  # of the squared weights, beside the mean cross-entropy
_STEPS = 200


def train_on_synthetic(fake: np.ndarray, fake_labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray) -> float:
    """Fits multinomial logistic regression to generated features, and returns its accuracy on real ones, in float64.

        min_W,b  mean_i cross-entropy(W x_i + b, label_i) + 1e-3 |W|^2 / 2

    All features are first shifted and scaled so that those of the generated samples have mean 0 and deviation 1. A generator
    that makes one picture for each class scores low here, though a metric of quality alone may not show it; so does one that
    ignores its class.

    Args:
        fake: features of the samples to train on, `[M, D]`.
        fake_labels: `[M]` integers.
        real: features of the samples to test on, `[N, D]`.
        real_labels: `[N]` integers.

    Returns:
        The share of real samples that are assigned their class, 0 to 1. A class that no generated sample has is never assigned.

    Raises:
        ValueError: when the shapes do not fit, a feature is not finite, or generated samples are of fewer than two classes.

    References:
        Esteban et al. 2017, Real-valued (medical) time series generation with recurrent conditional GANs, section 4.2.
    """
    real, fake = checked_pair(real, fake)
    for name, labels, count in (("fake_labels", fake_labels, len(fake)), ("real_labels", real_labels, len(real))):
        if np.shape(labels) != (count,) or not np.issubdtype(np.asarray(labels).dtype, np.integer):
            raise FieldError(name, f"shape {np.shape(labels)}", f"they must be integers of shape [{count}]")
    classes, targets = np.unique(fake_labels, return_inverse=True)
    if len(classes) < 2:
        raise FieldError("tstr", "generated samples without labels of several classes", "a classifier is trained on these")
    mean, deviation = fake.mean(axis=0, dtype=np.float64), fake.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1.0
    x, y = ((each - mean) / deviation for each in (fake, real))
    weights, bias = _fitted(x, targets, len(classes))
    found = classes[(y @ weights + bias).argmax(axis=1)]
    return float((found == real_labels).mean())


def _fitted(x: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the minimum by L-BFGS: weights `[D, K]` and bias `[K]`."""
    n, size = x.shape
    wanted = np.eye(classes)[targets]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = flat[: size * classes].reshape(size, classes), flat[size * classes :]
        logits = x @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        value = (np.log(sums).sum() - (logits * wanted).sum()) / n + 0.5 * _DECAY * np.square(weights).sum()
        error = (exponentials / sums - wanted) / n
        return float(value), np.concatenate([(x.T @ error + _DECAY * weights).ravel(), error.sum(axis=0)])

    start = np.zeros((size + 1) * classes)
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return flat[: size * classes].reshape(size, classes), flat[size * classes :]


def _tstr(real: Statistics, fake: Statistics, held_out: Statistics | None) -> Scores:
    # Where unseen samples stand in for generated ones, they are not tested on themselves.
    test = real if held_out is None or fake is held_out else held_out
    fake_features, test_features = fake.features[:KEPT], test.features[:KEPT]
    given = fake_features, fake.labels[: len(fake_features)], test_features, test.labels[: len(test_features)]
    return {"tstr": Score(train_on_synthetic(*given), None)}


TSTR = Metric(
    _tstr,
    of="statistics",
    name="tstr",
    title="accuracy, trained on synthetic",
    better="higher",
    definition=(
        "accuracy on unseen real samples, or the real ones where there are none, of logistic regression fitted to at most "
        "10,000 generated ones; its floors are fitted to real ones"
    ),
    needs=("labels",),
)
