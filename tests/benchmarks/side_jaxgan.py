"""DCGAN training and sampling in jaxgan; started by step_time.py."""

import json
import os
import sys
from importlib.metadata import version

import jax
import jax.numpy as jnp
import optax
from turns import Task, serve

from jaxgan.gan import make_gan
from jaxgan.losses import non_saturating
from jaxgan.nets import dcgan
from jaxgan.network import from_linen


class Side:
    def __init__(self, size: int, width: int, batch: int) -> None:
        fields = {"image_size": size, "channels": 3, "width": width, "classes": 0, "norm": "batch"}
        image, z, label = jnp.zeros((1, size, size, 3)), jnp.zeros((1, 100)), jnp.zeros(1, jnp.int32)
        gan = make_gan(
            generator=from_linen(dcgan.Generator(**fields), z, label),
            discriminator=from_linen(dcgan.Discriminator(**fields), image, label),
            loss=non_saturating,
            g_optimizer=optax.adam(2e-4, b1=0.5),
            d_optimizer=optax.adam(2e-4, b1=0.5),
            latent_dim=100,
            share_z=True,  # one G(z) for both updates, as DCGAN is trained
        )
        self.key = jax.random.key(0)
        self.state = jax.jit(gan.init)(self.key)
        self.batch = {
            "image": jnp.tanh(jax.random.normal(jax.random.key(1), (batch, size, size, 3))),
            "label": jnp.zeros(batch, jnp.int32),
        }
        self.step = jax.jit(gan.step, donate_argnums=0)
        self.sample = jax.jit(gan.sample)
        self.images = self.batch["image"]

    def train(self, count: int) -> None:
        for _ in range(count):
            self.state, _ = self.step(self.state, self.batch, self.key)

    def draw(self, labels: jax.Array, count: int) -> None:
        for _ in range(count):
            self.images = self.sample(self.state, self.key, labels)

    def wait(self) -> None:
        jax.block_until_ready((self.state, self.images))


def main(size: int, width: int, batch: int, device: str, precision: str, variant: str) -> None:
    if precision == "float32":  # otherwise XLA's default, which on CUDA is TF32
        jax.config.update("jax_default_matmul_precision", "float32")
    side = Side(size, width, batch)
    many, one = jnp.zeros(batch, jnp.int32), jnp.zeros(1, jnp.int32)
    serve(
        {
            "device": jax.devices()[0].device_kind,
            "versions": {name: version(name) for name in ("jax", "flax", "optax")},
            "parameters": sum(leaf.size for leaf in jax.tree.leaves((side.state.g.params, side.state.d.params))),
            "choices": f"jit, {variant}",
            "threads": len(os.sched_getaffinity(0)),
        },
        {
            "step": Task(side.train, side.wait),
            "sample": Task(lambda count: side.draw(many, count), side.wait, each=True),
            "sample one": Task(lambda count: side.draw(one, count), side.wait, each=True),
        },
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
