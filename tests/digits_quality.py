"""Trains the default recipe and measures it: are the digits the right ones, good, and varied?

    python tests/digits_quality.py [--seeds 0 1 2] [--folder DIR]

For each seed: `jaxgan train --seed S`, then 1,000 class-conditional samples by `jaxgan sample`, rounded to the data's 17
grey levels. Label accuracy: a support vector classifier (RBF, gamma 0.001) fitted on scikit-learn's 1,797 digits gives the
label asked for. Precision and coverage: PRDC with k = 5 on raw pixels against the first 1,000 real digits. The floor beside
them is what the next 797 real digits score. Exits with 1 when a figure is under its target on any seed.
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

from jaxgan.evaluation.metrics.prdc import prdc

TARGETS = {"accuracy": 0.97, "precision": 0.93, "coverage": 0.90}


def jaxgan(*words: str) -> str:
    return subprocess.run([sys.executable, "-m", "jaxgan", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Figures of uint8 images `[N, 8, 8, 1]` that were asked to be of `labels [N]`."""
    real = load_digits()
    pixels = np.rint(images.reshape(len(images), -1) / 255.0 * 16.0)
    judge = SVC(gamma=0.001).fit(real.data, real.target)
    found = prdc(real.data[:1000], pixels, nearest=5)
    return {
        "accuracy": float((judge.predict(pixels) == labels).mean()),
        "precision": found.precision,
        "recall": found.recall,
        "density": found.density,
        "coverage": found.coverage,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    parser.add_argument("options", nargs="*", help="further words for `jaxgan train`, after --")
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in arguments.seeds:
            run, out = folder / f"digits-{seed}", folder / f"digits-{seed}.npz"
            began = time.perf_counter()
            jaxgan("train", "--seed", str(seed), "--run", str(run), "--overwrite", *arguments.options)
            seconds = time.perf_counter() - began
            jaxgan("sample", str(run), "--n", "1000", "--seed", "1", "--out", str(out))
            with np.load(out) as drawn:
                figures = measure(drawn["images"], drawn["labels"])
            good &= all(figures[name] >= least for name, least in TARGETS.items())
            print(f"seed {seed}: {seconds:.0f} s  " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)
    real = load_digits()
    floor = prdc(real.data[:1000], real.data[1000:], nearest=5)
    print(f"real digits 1000-1796: precision {floor.precision:.3f}  recall {floor.recall:.3f}  density {floor.density:.3f}  "
          f"coverage {floor.coverage:.3f}")  # fmt: skip
    print("targets: " + "  ".join(f"{k} {v}" for k, v in TARGETS.items()), "held" if good else "MISSED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
