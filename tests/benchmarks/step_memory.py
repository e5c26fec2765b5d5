"""How much temporary memory a training step needs: as it is, with remat, with accumulate, in bfloat16, and with all three.

    python tests/benchmarks/step_memory.py [r3gan|sngan|dcgan|stylegan2 ...]

MiB of temporary buffers, as XLA's buffer assignment has them for this device; the state and the batch come on top.
"""

import dataclasses
import sys

import jax
import jax.numpy as jnp

from jaxgan.recipes import (
    DCGAN,
    R3GAN,
    SNGAN,
    Data,
    DCGANDiscriminator,
    Penalty,
    R3GANDiscriminator,
    Recipe,
    SNGANDiscriminator,
    StyleGAN2,
    StyleGAN2Discriminator,
    check,
)
from jaxgan.training import loop
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import build

SIDE, BATCH, PARTS = 32, 64, 8
SIZES = {"widths": (64, 64, 64, 64), "groups": (8, 8, 8, 8)}
STYLEGAN2 = {"channel_base": 1024, "channel_max": 64}
PAIRS = {
    "r3gan": (R3GAN(**SIZES), R3GANDiscriminator(**SIZES)),
    "sngan": (SNGAN(width=64), SNGANDiscriminator(width=64)),
    "dcgan": (DCGAN(width=64, norm="batch"), DCGANDiscriminator(width=64)),
    "stylegan2": (StyleGAN2(style_dim=64, **STYLEGAN2), StyleGAN2Discriminator(**STYLEGAN2)),
}
OPTIONS = {
    "as it is": {},
    "remat": {"remat": True},
    f"accumulate {PARTS}": {"accumulate": PARTS},
    "bfloat16": {"precision": "bfloat16"},
    "all three": {"remat": True, "accumulate": PARTS, "precision": "bfloat16"},
}


def mebibytes(recipe: Recipe) -> float:
    """Of temporary buffers in one step of this recipe, compiled for this device."""
    shape = Shape((SIDE, SIDE, 3), 0)
    experiment = build(recipe, shape=shape)
    gan, rows = experiment.gan, experiment.rows
    key = jax.eval_shape(lambda: experiment.key)
    batch = {
        "image": jax.ShapeDtypeStruct((rows, *shape.sample), jnp.float32),
        "label": jax.ShapeDtypeStruct((rows,), jnp.int32),
    }
    step = jax.jit(gan.step, donate_argnums=0).lower(jax.eval_shape(gan.init, key), batch, key)
    return step.compile(compiler_options=loop.compiler_options(recipe)).memory_analysis().temp_size_in_bytes / 2**20


def main() -> None:
    print(f"{jax.devices()[0].device_kind}, {SIDE}x{SIDE} pixels, batch {BATCH}; MiB")
    for name in sys.argv[1:] or PAIRS:
        g, d = PAIRS[name]
        recipe = Recipe(Data("none", image_size=SIDE), g, d, penalty=Penalty("r1_r2", 1.0), batch_size=BATCH)
        for option, fields in OPTIONS.items():
            print(f"{name:10} {option:14} {mebibytes(check(dataclasses.replace(recipe, **fields))):8.0f}", flush=True)


if __name__ == "__main__":
    main()
