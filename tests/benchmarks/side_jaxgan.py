"""Training and sampling in jaxgan; started by step_time.py."""

import functools
import json
import math
import os
import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from turns import Task, fastest, process_peak, serve
from workloads import recipe_of

from jaxgan.core import cost
from jaxgan.core.types import Batch, GANState, PyTree
from jaxgan.recipes import Recipe
from jaxgan.recipes.formats import type_name
from jaxgan.system import host_memory
from jaxgan.training.dataset import Shape
from jaxgan.training.experiment import build
from jaxgan.training.values import latent_of
from jaxgan.weights.foreign import adopt
from jaxgan.weights.names import dcgan as dcgan_names
from jaxgan.weights.names import r3gan as r3gan_names
from jaxgan.weights.names import sngan as sngan_names
from jaxgan.weights.names import stylegan2 as stylegan2_names

SAMPLES = (1, 64, 512)
FOREIGN: dict[str, ModuleType] = {
    "dcgan": dcgan_names,
    "sngan": sngan_names,
    "r3gan": r3gan_names,
    "stylegan2": stylegan2_names,
}


class Side:
    def __init__(self, recipe: Recipe) -> None:
        side, channels = recipe.data.image_size or 32, recipe.data.channels or 3
        experiment = build(recipe, shape=Shape((side, side, channels), 0))
        self.recipe, self.key, gan = recipe, experiment.key, experiment.gan
        self.init, rows = gan.init, experiment.rows
        self.state = jax.jit(gan.init)(self.key)
        self.batch: Batch = {
            "image": jnp.tanh(jax.random.normal(jax.random.key(1), (rows, side, side, channels))),
            "label": jnp.zeros(rows, jnp.int32),
        }
        self.step_flops = cost.flops(cost.program(jax.make_jaxpr(gan.step)(self.state, self.batch, self.key)))
        self.step = jax.jit(gan.step, donate_argnums=0)
        self.several = jax.jit(functools.partial(_several, gan.step, recipe.steps_per_dispatch), donate_argnums=0)
        self.sample, self.labels = jax.jit(gan.sample), {n: jnp.zeros(n, jnp.int32) for n in SAMPLES}
        self.images = self.batch["image"]

    def train(self, count: int) -> None:
        """So many steps, at least; whole dispatches."""
        each = self.recipe.steps_per_dispatch
        for _ in range(-(-count // each)):
            self.state = self.several(self.state, self.batch, self.key)

    def draw(self, images: int, count: int) -> None:
        labels = self.labels[images]
        for _ in range(count):
            self.images = self.sample(self.state.ema, self.key, labels)

    def wait(self) -> None:
        jax.block_until_ready((self.state, self.images))

    def inputs(self, path: str) -> None:
        """The batch of a step, and the z that it draws, as `gan.py` does: for the other side to take the same step."""
        keys = jax.random.split(jax.random.fold_in(self.key, 0), self.recipe.disc_steps + 1)
        size = (self.recipe.batch_size, self.recipe.generator.latent_dim)
        z = latent_of(self.recipe)(jax.random.fold_in(keys[0], 4), size)
        np.savez(path, z=z, real=self.batch["image"])

    def compare(self, path: str) -> dict[str, float]:
        """Takes the step that the other side has taken, from its weights; how far apart losses and gradients are.

        Gradients as Adam's first moments, which are theirs times 1 - beta1: of each leaf the largest error over the largest
        element of all leaves. In float64, or the few activations whose sign rounding changes would be all that one sees.
        """
        kept = np.load(path)

        def tree(player: str, of: str) -> tuple[PyTree, PyTree]:
            prefix = f"{player}.{of}."
            tensors = {name.removeprefix(prefix): kept[name] for name in kept.files if name.startswith(prefix)}
            return self._adopted(player, tensors)

        state = jax.jit(self.init)(self.key)
        state = jax.tree.map(lambda x: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)
        for player in ("g", "d"):
            params, stats = tree(player, "weights")
            old = getattr(state, player)
            new = jax.tree.map(lambda _, now: jnp.asarray(now), (old.params, old.stats), (params, stats or old.stats))
            state = state._replace(**{player: old._replace(params=new[0], stats=new[1])})
        state, info = self.step(state, self.batch, self.key)
        errors = {name: abs(float(info[name]) - float(kept[name])) / abs(float(kept[name])) for name in ("d_loss", "g_loss")}
        for player in ("g", "d"):
            ours, theirs = _moments(getattr(state, player).opt), tree(player, "moments")[0]
            largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs))
            errors[f"{player} gradient"] = max(jax.tree.leaves(jax.tree.map_with_path(_apart, ours, theirs))) / float(largest)
        return errors

    def _adopted(self, player: str, tensors: dict[str, np.ndarray]) -> tuple[PyTree, PyTree]:
        """Theirs as our parameters and statistics."""
        name = "generator" if player == "g" else "discriminator"
        network = type_name(getattr(self.recipe, name), name)
        if network == "mlp":
            return _dense_layers(jax.eval_shape(self.init, self.key), player, tensors), {}
        if network == "resnet":
            return _residual_layers(tensors), {}
        module = FOREIGN[network]
        return adopt(tensors, module.torch_layout(module.module_of(tensors), **self._latent(player)))

    def _latent(self, player: str) -> dict[str, int]:
        return {"latent_dim": self.recipe.generator.latent_dim} if player == "g" else {}

    def gemm(self) -> dict[str, float]:
        """FLOP/s of a large product in the precision of the networks."""
        side = 2048 if jax.default_backend() == "cpu" else 8192
        x = jax.random.normal(jax.random.key(0), (side, side), self.recipe.precision)  # of ones GPUs are faster
        product = jax.jit(jnp.matmul)
        jax.block_until_ready(product(x, x))
        return {"peak": 2 * side**3 / fastest(lambda: jax.block_until_ready(product(x, x)))}

    def memory(self) -> dict[str, int]:
        stats = jax.local_devices()[0].memory_stats() or {}
        return {"bytes": int(stats.get("peak_bytes_in_use", process_peak()))}

    def recompiled(self) -> dict[str, int]:
        """Programs of the step beyond the first."""
        return {"count": self.several._cache_size() - 1}


def _several(step: Any, count: int, state: GANState, batch: Batch, key: jax.Array) -> GANState:
    """As training makes several steps in one dispatch, or one."""
    if count == 1:
        return step(state, batch, key)[0]
    return lax.fori_loop(0, count, lambda _, state: step(state, batch, key)[0], state)


def _moments(opt: PyTree) -> PyTree:
    """Adam's first moments, wherever in the chain they are."""
    found = [leaf for leaf in jax.tree.leaves(opt, is_leaf=_is_adam) if _is_adam(leaf)]
    return found[0].mu


def _is_adam(x: Any) -> bool:
    return isinstance(x, optax.ScaleByAdamState)


def _apart(path: Any, ours: jax.Array, theirs: np.ndarray) -> float:
    if "noise_strength" in jax.tree_util.keystr(path):  # of noise that each side draws for itself
        return 0.0
    return float(np.abs(np.asarray(ours) - theirs).max())


def _dense_layers(abstract: Any, player: str, tensors: dict[str, np.ndarray]) -> PyTree:
    """The linear layers of an MLP, in order: a kernel is a transposed weight."""
    weights = [tensors[name].T for name in tensors if name.endswith("weight")]
    biases = [tensors[name] for name in tensors if name.endswith("bias")]
    layers = getattr(abstract, player).params
    return {
        name: {"kernel": weight, "bias": bias} for name, weight, bias in zip(_in_order(layers), weights, biases, strict=True)
    }


def _residual_layers(tensors: dict[str, np.ndarray]) -> PyTree:
    """The layers of a residual network, which have the same names on both sides; channels are last here, and first there."""
    biases, last = {"widen": "bias_1", "conv": "bias_2"}, {"basis": (1, 2, 0)}
    tree: dict[str, Any] = {}
    for name, x in tensors.items():
        *path, leaf = name.split(".")
        if leaf == "bias":
            path, leaf = path[:-1], biases[path[-1]]
        elif leaf == "weight":
            x = x[:, :, 0, 0].T if x.shape[2:] == (1, 1) else x.T if x.ndim == 2 else x.transpose(2, 3, 1, 0)
            leaf = "kernel"
        else:
            x = x.transpose(last[leaf])
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[leaf] = x
    return tree


def _in_order(layers: dict[str, Any]) -> list[str]:
    """Hidden layers by number, then the last one, which has a name of its own."""
    return sorted(layers, key=lambda name: (not name[-1].isdigit(), name))


def main(settings: dict[str, Any]) -> None:
    if settings["precision"] in ("float32", "float64"):  # otherwise XLA's default, which on CUDA is TF32
        jax.config.update("jax_default_matmul_precision", "float32")
    jax.config.update("jax_enable_x64", settings["precision"] == "float64")
    if settings["device"] == "cpu" and settings["variant"] == "jaxgan":
        host_memory.keep()
    side = Side(recipe_of(settings))
    serve(
        {
            "device": jax.devices()[0].device_kind,
            "versions": {name: version(name) for name in ("jax", "flax", "optax")},
            "parameters": sum(math.prod(x.shape) for x in jax.tree.leaves((side.state.g.params, side.state.d.params))),
            "choices": "jaxgan" if settings["variant"] == "jaxgan" else "jaxgan, small pages",
            "threads": len(os.sched_getaffinity(0)),
            "step_flops": side.step_flops,
        },
        {"step": Task(side.train, side.wait)}
        | {f"sample {n}": Task(lambda count, n=n: side.draw(n, count), side.wait, each=True) for n in SAMPLES},
        {name: getattr(side, name) for name in ("inputs", "compare", "gemm", "memory", "recompiled")},
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
