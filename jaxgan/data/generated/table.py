"""A table of mixed columns: 442 diabetes patients, as scikit-learn has them."""

import numpy as np

from jaxgan.data.generated import draws

COLUMNS = ("age", "sex", "bmi", "blood_pressure", "s1", "s2", "s3", "s4", "s5", "s6", "progression")
_HELD_OUT = 88  # of 442, a fifth


def samples(split: str) -> np.ndarray:
    """Returns rows in their own units: whole numbers, two classes (sex, 1 or 2) and measured values.

    Args:
        split: train or test, four fifths and a fifth of the rows.

    Returns:
        `[354, 11]` or `[88, 11]` float32; the last column is a year's progression, which the others predict.

    References:
        Efron et al. 2004, Least angle regression, section 1.
    """
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    rows = np.concatenate([found.data, found.target[:, None]], axis=1).astype(np.float32)
    order = np.argsort(draws.uniform("table", "train", 0, (len(rows),)), kind="stable")
    return rows[order[_HELD_OUT:] if split == "train" else order[:_HELD_OUT]]
