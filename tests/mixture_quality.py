"""Trains the ring and the grid and counts their modes by PacGAN's protocol, beside what a perfect sampler scores.

    python tests/mixture_quality.py [ring] [grid] [--seeds 0] [--folder DIR]

2,500 samples of the averaged generator; high quality: within 3 sigma of a centre; a mode counts with one such sample.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from digits_quality import jaxgan

from jaxgan import toy

DENSITIES = {"ring": toy.ring, "grid": toy.grid}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(DENSITIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.names:
            density = DENSITIES[name]()
            for seed in arguments.seeds:
                run, out = folder / f"{name}-{seed}", folder / f"{name}-{seed}.npz"
                began = time.perf_counter()
                jaxgan("train", name, "--seed", str(seed), "--run", str(run))
                seconds = time.perf_counter() - began
                jaxgan("sample", str(run), "--n", "2500", "--seed", "1", "--batch", "2500", "--out", str(out))
                with np.load(out) as drawn:
                    found = toy.coverage(jnp.asarray(drawn["images"]), density)
                print(f"{name} seed {seed}: {seconds:.0f} s  {told(found)}", flush=True)
            perfect = toy.coverage(density.sample(jax.random.key(0), 2500), density)
            print(f"{name}, a perfect sampler: {told(perfect)}")
    return 0


def told(found: toy.Coverage) -> str:
    return f"modes {int(found.modes)}  high quality {float(found.high_quality):.2%}  reverse KL {float(found.reverse_kl):.4f}"


if __name__ == "__main__":
    sys.exit(main())
