"""Trains `inpaint` and measures the right halves that it paints for digits it has not seen.

    python tests/inpaint_quality.py [--run DIR] [-- OPTION ..]

For the 397 left halves of other writers: the mean distance of the right half from the true one, |G(z, c) - x| of values in
[-1, 1], beside that of the mean right half of the training digits and of the right half of the nearest training half; and the
share of painted digits that a support vector classifier, fitted on the 1,400 training digits, calls what they are, beside that
of the true ones. A run that is there already is only measured.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import jaxgan
from jaxgan.data import halves

TRAIN = 1_400


def measure(run: Path) -> dict[str, float]:
    """Figures of a run, and of what it is compared with."""
    digits, labels = load_digits(return_X_y=True)
    images = np.rint(digits / 16.0 * 255.0).astype(np.uint8).reshape(-1, 8, 8, 1)
    condition = halves.halves(images)
    painted = jaxgan.runs.read(run).sample(seed=1, condition=condition[TRAIN:]).images
    again = jaxgan.runs.read(run).sample(seed=2, condition=condition[TRAIN:]).images
    train, true = (part[:, :, 4:] / 127.5 - 1.0 for part in (images[:TRAIN], images[TRAIN:]))
    known = condition[:, :, :4].reshape(len(images), -1)
    nearest = ((known[TRAIN:, None] - known[None, :TRAIN]) ** 2).sum(axis=2).argmin(axis=1)
    whole = images[TRAIN:].copy()
    whole[:, :, 4:] = images[:TRAIN][nearest][:, :, 4:]
    judge = SVC(gamma=0.001).fit(digits[:TRAIN], labels[:TRAIN])

    def right(x: np.ndarray) -> float:
        return float((judge.predict(np.rint(x.reshape(len(x), -1) / 255.0 * 16.0)) == labels[TRAIN:]).mean())

    def distance(x: np.ndarray) -> float:
        return float(np.abs(x - true).mean())

    return {
        "distance": distance(painted[:, :, 4:] / 127.5 - 1.0),
        "distance, mean half": distance(train.mean(axis=0)[None]),
        "distance, nearest half's": distance(train[nearest]),
        "right": right(painted),
        "right, nearest half's": right(whole),
        "right, true digits": right(images[TRAIN:]),
        "between two z": float(np.abs(painted / 127.5 - again / 127.5).mean()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="keep the run here")
    parser.add_argument("options", nargs="*", help="further words for `jaxgan train`, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = arguments.run or Path(temporary) / "inpaint"
        if not run.exists():
            began = time.perf_counter()
            words = ["train", "inpaint", "--run", str(run), *arguments.options]
            subprocess.run([sys.executable, "-m", "jaxgan", *words], check=True)
            print(f"{time.perf_counter() - began:.0f} s")
        figures = measure(run)
    for name, value in figures.items():
        print(f"{name:26} {value:.3f}")
    good = figures["distance"] < figures["distance, nearest half's"] and figures["right"] > figures["right, nearest half's"]
    print("better than the nearest training half's" if good else "NOT better than the nearest training half's")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
