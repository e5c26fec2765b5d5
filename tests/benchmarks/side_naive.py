"""DCGAN as one would first write it in flax: `nn.ConvTranspose`, a jitted update for each player; started by step_time.py."""

import functools
import json
import math
import os
import sys
from importlib.metadata import version
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from turns import Task, process_peak, serve
from workloads import recipe_of

from jaxgan.recipes import Recipe

SAMPLES = (1, 64, 512)
normal = nn.initializers.normal(0.02)


class Generator(nn.Module):
    size: int
    width: int

    @nn.compact
    def __call__(self, z: jax.Array, train: bool) -> jax.Array:
        stages = self.size.bit_length() - 3
        x = nn.ConvTranspose(self.width * 2 ** (stages - 1), (4, 4), (1, 1), "VALID", use_bias=False, kernel_init=normal)(
            z[:, None, None, :]
        )
        for i in range(stages):
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            features = 3 if i == stages - 1 else self.width * 2 ** (stages - 2 - i)
            x = nn.ConvTranspose(features, (4, 4), (2, 2), "SAME", use_bias=False, kernel_init=normal)(x)
        return jnp.tanh(x)


class Discriminator(nn.Module):
    size: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i in range(self.size.bit_length() - 3):
            x = nn.Conv(self.width * 2**i, (4, 4), (2, 2), ((1, 1), (1, 1)), use_bias=False, kernel_init=normal)(x)
            x = nn.leaky_relu(x if i == 0 else nn.BatchNorm(use_running_average=not train, momentum=0.9)(x), 0.2)
        return nn.Conv(1, (4, 4), padding="VALID", use_bias=False, kernel_init=normal)(x)[:, 0, 0, 0]


class Side:
    def __init__(self, recipe: Recipe) -> None:
        size, self.recipe, self.key = recipe.data.image_size or 32, recipe, jax.random.key(0)
        g, d = Generator(size, recipe.generator.width), Discriminator(size, recipe.discriminator.width)
        self.g = g.init(self.key, jnp.zeros((1, recipe.generator.latent_dim)), True)
        self.d = d.init(self.key, jnp.zeros((1, size, size, 3)), True)
        g_adam, d_adam = (
            optax.adam(each.learning_rate, b1=each.beta1, b2=each.beta2) for each in (recipe.g_optimizer, recipe.d_optimizer)
        )
        self.g_opt, self.d_opt = g_adam.init(self.g["params"]), d_adam.init(self.d["params"])
        self.real = jnp.tanh(jax.random.normal(jax.random.key(1), (recipe.batch_size, size, size, 3)))
        self.images = self.real

        def applied(module: nn.Module, variables: Any, x: jax.Array) -> Any:
            return module.apply(variables, x, True, mutable="batch_stats")

        def moved(adam: Any, gradient: Any, opt: Any, variables: Any, stats: Any) -> Any:
            change, opt = adam.update(gradient, opt, variables["params"])
            return {"params": optax.apply_updates(variables["params"], change), **stats}, opt

        @jax.jit
        def update_d(d_variables: Any, opt: Any, g_variables: Any, real: jax.Array, z: jax.Array) -> Any:
            fake, _ = applied(g, g_variables, z)

            def loss(params: Any) -> Any:
                real_logits, stats = applied(d, d_variables | {"params": params}, real)
                fake_logits, stats = applied(d, {"params": params, **stats}, fake)
                return (nn.softplus(-real_logits) + nn.softplus(fake_logits)).mean(), stats

            (_, stats), gradient = jax.value_and_grad(loss, has_aux=True)(d_variables["params"])
            return moved(d_adam, gradient, opt, d_variables, stats)

        @jax.jit
        def update_g(g_variables: Any, opt: Any, d_variables: Any, z: jax.Array) -> Any:
            def loss(params: Any) -> Any:
                fake, stats = applied(g, g_variables | {"params": params}, z)
                return nn.softplus(-applied(d, d_variables, fake)[0]).mean(), stats

            (_, stats), gradient = jax.value_and_grad(loss, has_aux=True)(g_variables["params"])
            return moved(g_adam, gradient, opt, g_variables, stats)

        self.update_d, self.update_g = update_d, update_g
        self.sample = jax.jit(functools.partial(g.apply, train=False))
        self.steps = 0

    def latents(self, count: int) -> jax.Array:
        self.steps += 1
        return jax.random.normal(jax.random.fold_in(self.key, self.steps), (count, self.recipe.generator.latent_dim))

    def train(self, count: int) -> None:
        for _ in range(count):
            z = self.latents(self.recipe.batch_size)
            self.d, self.d_opt = self.update_d(self.d, self.d_opt, self.g, self.real, z)
            self.g, self.g_opt = self.update_g(self.g, self.g_opt, self.d, z)

    def draw(self, images: int, count: int) -> None:
        for _ in range(count):
            self.images = self.sample(self.g, self.latents(images))

    def wait(self) -> None:
        jax.block_until_ready((self.g, self.d, self.images))

    def memory(self) -> dict[str, int]:
        stats = jax.local_devices()[0].memory_stats() or {}
        return {"bytes": int(stats.get("peak_bytes_in_use", process_peak()))}


def main(settings: dict[str, Any]) -> None:
    if settings["precision"] == "float32":
        jax.config.update("jax_default_matmul_precision", "float32")
    side = Side(recipe_of(settings))
    serve(
        {
            "device": jax.devices()[0].device_kind,
            "versions": {name: version(name) for name in ("jax", "flax", "optax")},
            "parameters": sum(math.prod(x.shape) for x in jax.tree.leaves((side.g["params"], side.d["params"]))),
            "choices": "flax, written naively",
            "threads": len(os.sched_getaffinity(0)),
        },
        {"step": Task(side.train, side.wait)}
        | {f"sample {n}": Task(lambda count, n=n: side.draw(n, count), side.wait, each=True) for n in SAMPLES},
        {"memory": side.memory},
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
