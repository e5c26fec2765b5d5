"""The one bridge to flax: a linen module becomes two pure functions; and what can be made of those."""

import inspect
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.core.types import Key, Labels, Network, PyTree


@runtime_checkable
class Mapped(Protocol):
    """A generator module in two halves: z to styles w, and w to images."""

    def map(self, z: jax.Array, labels: jax.Array | None, *, train: bool, truncation: float | None) -> jax.Array: ...

    def synthesize(self, w: jax.Array, *, train: bool) -> jax.Array: ...


def from_linen(module: nn.Module, *example: jax.Array, depends_on_batch: bool | None = None) -> Network:
    """Turns a flax.linen module into a `Network`: `init` and `apply` over plain nested dicts.

    The module's `__call__` takes what `example` holds, `(x)` or `(x, labels)`, and may take a keyword `train`;
    one that draws noise asks for it with `self.make_rng("noise")`. Every collection but `params`
    (`batch_stats`, spectral norm's vectors) becomes the network's `stats`. A generator with the methods
    `map(z, labels, *, train, truncation)` and `synthesize(w, *, train)` gives the network both halves.

    Args:
        module: the network, for instance `nets.mlp.Generator(...)`.
        *example: one or two arrays of the shapes and dtypes the module will see, `x [B, ...]` and, for a network
            that takes labels, `labels [B]` int32; only shapes are used.
        depends_on_batch: whether one sample's output depends on the others in its batch. By default a module that keeps
            statistics is taken to couple samples and one that keeps none is not; a module with a minibatch standard
            deviation and no statistics must say `depends_on_batch=True`.

    Returns:
        A `Network`.

    Raises:
        ValueError: when `example` holds no or more than two arrays.
    """
    if not 1 <= len(example) <= 2:
        raise ValueError(f"example: {len(example)} arrays, but a network takes (x) or (x, labels)")
    takes_train = "train" in inspect.signature(type(module).__call__).parameters

    def arguments(x: jax.Array, labels: jax.Array | None) -> tuple[Any, ...]:
        return (x, labels) if len(example) == 2 else (x,)

    def init(key: Key) -> tuple[PyTree, PyTree]:
        params_key, noise_key = jax.random.split(key)
        flags: dict[str, Any] = {"train": False} if takes_train else {}
        stats = dict(module.init({"params": params_key, "noise": noise_key}, *example, **flags))
        return stats.pop("params", {}), stats

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: jax.Array | None, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        variables = {"params": params, **stats}
        flags: dict[str, Any] = {"train": train} if takes_train else {}
        rngs = {"noise": key}
        # A frozen or an absent collection comes back as an empty dict of changes.
        y, new = module.apply(variables, *arguments(x, labels), rngs=rngs, mutable=list(stats) if train else [], **flags)
        return y, {**stats, **new}

    if depends_on_batch is None:
        depends_on_batch = bool(jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))[1])
    if not isinstance(module, Mapped):
        return Network(init, apply, depends_on_batch)

    def styles(
        params: PyTree,
        stats: PyTree,
        z: jax.Array,
        labels: jax.Array | None,
        key: Key,
        *,
        train: bool,
        truncation: float | None = None,
    ) -> tuple[jax.Array, PyTree]:
        kept: Any = list(stats) if train else []
        options = {"train": train, "truncation": truncation, "method": "map", "rngs": {"noise": key}, "mutable": kept}
        w, new = module.apply({"params": params, **stats}, z, labels, **options)
        return w, {**stats, **new}

    def synthesize(params: PyTree, stats: PyTree, w: jax.Array, key: Key, *, train: bool) -> jax.Array:
        images: Any = module.apply({"params": params, **stats}, w, train=train, method="synthesize", rngs={"noise": key})
        return images

    return Network(init, apply, depends_on_batch, styles, synthesize)


def at_precision(network: Network, dtype: Any) -> Network:
    """A network whose activations and products are of another dtype: its input is rounded to it, its output float32 at least.

    Parameters and statistics stay as they are: the layers of `jaxgan.layers` cast them where they meet an input of bfloat16,
    and compute normalisations and the sums over a batch in float32, as `jaxgan.nets` do the last layer of D.

    Args:
        network: of layers that follow the dtype of their input.
        dtype: jnp.bfloat16, or jnp.float32 for the network itself.

    Returns:
        A `Network` with the same parameters.

    Raises:
        ValueError: when the dtype is another, or the network is a generator with a mapping: the field `bfloat16_levels` of its
            module is for that.

    References:
        Kalamkar et al. 2019, A study of bfloat16 for deep learning training, section 3.
    """
    if dtype == jnp.float32:
        return network
    if dtype != jnp.bfloat16:
        raise ValueError(f"dtype: {dtype!r}, but it must be float32 or bfloat16")
    if network.map is not None:
        raise ValueError("network: it has a mapping, whose styles are not to be rounded; take its module's bfloat16_levels")

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        y, stats = network.apply(params, stats, x.astype(dtype), labels, key, train=train)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32)), stats

    return network._replace(apply=apply)


def pack(network: Network, m: int) -> Network:
    """PacGAN: a discriminator that judges m samples at once, all real or all generated: `D(x_1, .., x_m)`.

    A generator that lost a mode gives itself away in a pack: its samples are less various than real ones. The samples
    are concatenated along their last axis: channels of images, coordinates of points. In a batch m adjacent ones make a
    pack; a penalty then is that of the pack's gradient.

    Args:
        network: a discriminator of samples with m times the channels or coordinates,
            for instance `from_linen(mlp.Discriminator(), jnp.zeros((1, m * 2)))` for points in the plane.
        m: samples in a pack.

    Returns:
        A `Network` that maps `x [B, ..., C]` to logits `[B / m]`, with the same parameters. A pack has one label, its first
        sample's: so train without labels, or on batches in which m adjacent samples share theirs. With `m = 1` it is the
        network itself.

    Raises:
        ValueError: when m is no integer of at least 1; from `apply` when m does not divide the batch.

    References:
        Lin et al. 2018, PacGAN: The power of two samples in generative adversarial networks, section 3.
    """
    if not isinstance(m, int) or isinstance(m, bool) or m < 1:
        raise ValueError(f"m: {m!r}, but it must be an integer of at least 1")
    if m == 1:
        return network

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        if x.shape[0] % m:
            raise ValueError(f"batch: {x.shape[0]} samples, but packs of {m} need a multiple of {m}")
        packs = jnp.moveaxis(x.reshape(-1, m, *x.shape[1:]), 1, -2)  # [B / m, ..., m, C]
        packs = packs.reshape(*packs.shape[:-2], m * x.shape[-1])
        return network.apply(params, stats, packs, labels if labels is None else labels[::m], key, train=train)

    return Network(network.init, apply, depends_on_batch=True)  # real and generated samples must not share a pack
