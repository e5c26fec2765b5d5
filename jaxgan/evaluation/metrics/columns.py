"""Figures of tables: marginals, correlations, and how well a model fitted to generated rows predicts real ones."""

import numpy as np

from jaxgan.evaluation.metric import Metric, Shown
from jaxgan.system.messages import FieldError

_RIDGE = 1e-3  # of a column's variance, so that columns may depend on each other


def marginal_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the 1-Wasserstein distance between the marginals of a column over the real deviation, its mean over columns.

    Args:
        real: `[N, F]`.
        fake: `[M, F]`.
    """
    levels = (np.arange(200) + 0.5) / 200
    apart = np.abs(np.quantile(real, levels, axis=0) - np.quantile(fake, levels, axis=0)).mean(0)
    return float((apart / _deviation(real)).mean())


def correlation_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the mean absolute difference of the correlations of two columns, of rows `[N, F]` and `[M, F]`."""
    upper = np.triu_indices(real.shape[1], 1)
    return float(np.abs(_correlations(real)[upper] - _correlations(fake)[upper]).mean())


def prediction(train: np.ndarray, test: np.ndarray) -> float:
    """Returns R^2 on `test` of a ridge regression of the last column, fitted on `train`, `[N, F]` and `[M, F]`."""
    centre, scale = train.mean(0), _deviation(train)
    a, b = (train - centre) / scale, (test - centre) / scale
    inputs = a[:, :-1]
    weights = np.linalg.solve(inputs.T @ inputs + _RIDGE * len(a) * np.eye(a.shape[1] - 1), inputs.T @ a[:, -1])
    left = np.square(b[:, -1] - b[:, :-1] @ weights).mean()
    return float(1.0 - left / max(b[:, -1].var(), 1e-12))


def _deviation(x: np.ndarray) -> np.ndarray:
    return np.maximum(x.std(0), 1e-9)


def _correlations(x: np.ndarray) -> np.ndarray:
    scaled = (x - x.mean(0)) / _deviation(x)
    found: np.ndarray = scaled.T @ scaled / len(x)
    return found


def _columns(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    if real.ndim != 2 or real.shape[1] < 2 or fake.shape[1:] != real.shape[1:]:
        raise FieldError("metrics", "columns", f"samples of shape {real.shape[1:]} are no rows of a table")
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    return {
        "marginals": marginal_distance(real, fake),
        "correlations": correlation_distance(real, fake),
        "predicts": prediction(fake, real),
    }


COLUMNS = Metric(
    _columns,
    of="samples",
    name="columns",
    better="lower",
    figures={
        "marginals": Shown("distance of marginals", "lower"),
        "correlations": Shown("distance of correlations", "lower"),
        "predicts": Shown("R^2 on real rows, fitted on these", "higher"),
    },
    definition="1-Wasserstein distance of each column over its deviation, mean; absolute difference of correlations, mean; R^2 "
    "on real rows of a ridge regression of the last column on the others, fitted on generated rows",
)
