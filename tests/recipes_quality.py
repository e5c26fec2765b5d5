"""Trains the large recipes at a size that a CPU bears, on small handwritten digits: does each improve on its start?

    python tests/recipes_quality.py [NAME ...] [--steps 1500] [--folder DIR]

Networks, objective, penalties, schedules and augmentation are the recipe's; widths, batch and lengths are not. The figures
are PRDC on pixels (k = 5) of 1,000 samples against 1,000 real digits, of the generator before and after; beside them what
the other 797 real digits score. Exits with 1 when coverage does not rise. Look at FOLDER/NAME.png.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from digits_quality import jaxgan
from PIL import Image

from jaxgan import data
from jaxgan.evaluation.metrics.prdc import PrecisionRecallDensityCoverage, prdc

BATCH = 32
R3GAN = "--generator.bfloat16-levels 0 --discriminator.bfloat16-levels 0 --ema-half-life 10000"
EVEN = "--generator.widths 32 32 --generator.groups 4 4 --discriminator.widths 32 32 --discriminator.groups 4 4"
FALLING = "--generator.widths 32 16 --generator.groups 4 2 --discriminator.widths 32 16 --discriminator.groups 4 2"
FASTER = "--g-optimizer.learning-rate 1e-3 --d-optimizer.learning-rate 1e-3"
STYLEGAN2 = (
    "--generator.channel-max 32 --generator.style-dim 32 --generator.latent-dim 32 --generator.depth 2 "
    "--discriminator.channel-max 32 --augment-images 50000 --ema-half-life 10000"
)
SMALLER = {  # side of the images, and what else is reduced
    "sngan_cifar10": (32, f"--generator.width 16 --discriminator.width 16 --disc-steps 2 --ema-half-life 10000 {FASTER}"),
    "r3gan_cifar10": (8, f"{R3GAN} {EVEN} {FASTER}"),
    "r3gan_stacked_mnist": (8, f"{R3GAN} {EVEN} {FASTER}"),
    "r3gan_ffhq64": (8, f"{R3GAN} {FALLING} {FASTER}"),
    "r3gan_small": (8, f"{R3GAN} {EVEN} {FASTER}"),
    "stylegan2_32": (16, STYLEGAN2),
    "stylegan2_64": (16, STYLEGAN2),
}


def pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255.0


def measure(
    name: str, run: Path, steps: int, options: list[str], real: np.ndarray
) -> tuple[PrecisionRecallDensityCoverage, float]:
    """Trains up to that many steps and compares 1,000 samples with the real ones; the figures, and the seconds."""
    began = time.perf_counter()
    jaxgan("train", name, "--run", str(run), "--steps", str(steps), *options)
    seconds = time.perf_counter() - began
    jaxgan("sample", str(run), "--n", "1000", "--seed", "1", "--out", str(run / "samples.npz"))
    with np.load(run / "samples.npz") as drawn:
        return prdc(real, pixels(drawn["images"]), nearest=5), seconds


def told(figures: PrecisionRecallDensityCoverage) -> str:
    return "  ".join(f"{field} {value:.3f}" for field, value in figures._asdict().items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(SMALLER))
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    # A device for each of two cores.
    os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.names:
            side, reduced = SMALLER[name]
            options = (
                f"--data.name digits --data.image-size {side} --data.channels 1 --data.no-mirror --batch-size {BATCH}".split()
            )
            options += [*reduced.split(), "--decay-images", str(arguments.steps * BATCH), "--log-interval", "100"]
            options += ["--sample-interval", "500", "--checkpoint-interval", "500"]
            images, _, _ = data.arrays("digits", image_size=side, channels=1)
            real, others = pixels(images[:1000]), pixels(images[1000:])
            before, _ = measure(name, folder / name, 1, options, real)
            after, seconds = measure(name, folder / name, arguments.steps, options, real)
            jaxgan("sample", str(folder / name), "--n", "100", "--out", str(folder / f"{name}.png"))
            good &= after.coverage > before.coverage + 0.01  # of 1,000 real digits ten more have a neighbour
            print(f"{name}, {seconds:.0f} s\n  before  {told(before)}\n  after   {told(after)}", flush=True)
            print(f"  real    {told(prdc(real, others, nearest=5))}", flush=True)
            Image.open(folder / f"{name}.png").verify()
    print("each improved on its start" if good else "one did NOT improve on its start")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
