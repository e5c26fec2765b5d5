"""Trains digits without one class and tells that class by its residuals: does `jaxgan project` score anomalies?

    python tests/anomaly_quality.py [--held-out 4] [--folder DIR] [--steps 200] [--restarts 4]

For each class held out: `jaxgan train digits` on the others' first 1,400 digits, then `jaxgan project`, every class tried, on
digits that no training saw: all of the held-out class and the last 397 of the others. Their residual, the root mean square
error, is the score; printed are the area under its ROC curve, that of the distance in pixels to the nearest training image, and
what the inversion took. Exits with 1 when an area is below the target.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import jaxgan
from jaxgan.latent.residuals import roc_auc

TARGET = 0.9
_TRAINED = 1_400  # of the 1,797 digits, in the data set's order


def digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8 images `[1797, 8, 8, 1]` as the recipe's data are, and labels."""
    real = load_digits()
    return np.rint(real.images * 255 / 16).astype(np.uint8)[..., None], real.target.astype(np.int32)


def measure(held_out: int, folder: Path, *, steps: int, restarts: int) -> dict[str, float]:
    """Areas under the ROC curve of one class held out."""
    images, labels = digits()
    seen = np.flatnonzero(labels[:_TRAINED] != held_out)
    run = folder / f"without-{held_out}"
    given = jaxgan.data.from_array(images[seen], labels[seen])  # the class that does not occur is left out
    jaxgan.train("digits", run, dataset=given)
    others = _TRAINED + np.flatnonzero(labels[_TRAINED:] != held_out)
    tested = np.concatenate([np.flatnonzero(labels == held_out), others])
    began = time.perf_counter()
    found = jaxgan.project(run, images[tested], steps=steps, restarts=restarts, features="none")
    seconds = time.perf_counter() - began
    anomalous = labels[tested] == held_out
    flat = images.reshape(len(images), -1).astype(np.float64)
    near = np.array([np.sqrt(((flat[seen] - flat[i]) ** 2).sum(axis=1).min()) for i in tested])
    return {
        "auc": roc_auc(found.rmse, anomalous),
        "auc_nearest": roc_auc(near, anomalous),
        "psnr_held_out": float(np.median(found.psnr[anomalous])),
        "psnr_others": float(np.median(found.psnr[~anomalous])),
        "images": len(tested),
        "seconds": seconds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=int, nargs="+", default=[4])
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=4)
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for held_out in arguments.held_out:
            figures = measure(held_out, folder, steps=arguments.steps, restarts=arguments.restarts)
            good &= figures["auc"] >= TARGET
            print(f"without {held_out}: " + "  ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True)
    print(f"target: auc {TARGET}", "held" if good else "MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
