"""Networks made of networks: another precision, packs of samples, activations computed again; and a network's stages."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.core.types import Images, Key, Labels, Latents, Network, PyTree
from jaxgan.system.messages import FieldError, shown


def at_precision(network: Network, dtype: Any) -> Network:
    """Makes a network that computes in another dtype: its input is rounded to that dtype, its output is float32 at least.

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
        raise FieldError("dtype", shown(dtype), "it must be float32 or bfloat16")
    if network.map is not None:
        raise FieldError("network", "it has a mapping", "styles are not to be rounded; take its module's bfloat16_levels")

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        y, stats = network.apply(params, stats, x.astype(dtype), labels, key, train=train)
        return jax.tree.map(lambda each: each.astype(jnp.promote_types(each.dtype, jnp.float32)), y), stats

    of = network.features
    if of is None:
        return network._replace(apply=apply)

    def features(params: PyTree, stats: PyTree, x: Images, labels: Labels, key: Key, *, train: bool) -> PyTree:
        found = of(params, stats, x.astype(dtype), labels, key, train=train)
        return jax.tree.map(lambda each: each.astype(jnp.promote_types(each.dtype, jnp.float32)), found)

    return network._replace(apply=apply, features=features)


def rematerialised(network: Network) -> Network:
    """Makes a network that keeps no activations of its own for the gradients, and computes them again instead.

    The whole of `apply` is one `jax.checkpoint`. The networks of `jaxgan.nets` do better with their field `remat`, stage by
    stage; this is for those that have no such field.

    Args:
        network: any; a mapping and a synthesis are recomputed too.

    Returns:
        A `Network` with the same parameters and results.

    References:
        Chen et al. 2016, Training deep nets with sublinear memory cost.
    """

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        recomputed = jax.checkpoint(partial(network.apply, train=train))
        found: tuple[jax.Array, PyTree] = recomputed(params, stats, x, labels, key)
        return found

    styles_of, synthesis = network.map, network.synthesize
    if styles_of is None or synthesis is None:
        return network._replace(apply=apply)

    def styles(
        params: PyTree, stats: PyTree, z: Latents, labels: Labels, key: Key, *, train: bool, truncation: float | None = None
    ) -> tuple[jax.Array, PyTree]:
        recomputed = jax.checkpoint(partial(styles_of, train=train, truncation=truncation))
        found: tuple[jax.Array, PyTree] = recomputed(params, stats, z, labels, key)
        return found

    def synthesize(params: PyTree, stats: PyTree, w: jax.Array, key: Key, *, train: bool) -> Images:
        images: Images = jax.checkpoint(partial(synthesis, train=train))(params, stats, w, key)
        return images

    return network._replace(apply=apply, map=styles, synthesize=synthesize)


def pack(network: Network, m: int) -> Network:
    """Packs samples, PacGAN: makes a discriminator that judges m samples at once, all real or all generated: `D(x_1, .., x_m)`.

    A generator that lost a mode gives itself away in a pack: its samples are less various than real ones. The samples
    are concatenated along their last axis: channels of images, coordinates of points. In a batch m adjacent ones make a
    pack; a penalty then is that of the pack's gradient.

    Args:
        network: a discriminator of samples with m times the channels or coordinates,
            for instance `from_linen(mlp.Discriminator(), jnp.zeros((1, m * 2)))` for points in the plane.
        m: samples in a pack.

    Returns:
        A `Network` that maps `x [B, ..., C]` to logits `[B / m]`, with the same parameters. A pack has the label
        of its first sample: so train without labels, or on batches in which m adjacent samples share theirs. With `m = 1`
        the network itself is returned.

    Raises:
        ValueError: when m is no integer of at least 1; from `apply` when m does not divide the batch.

    References:
        Lin et al. 2018, PacGAN: The power of two samples in generative adversarial networks, section 3.
    """
    if not isinstance(m, int) or isinstance(m, bool) or m < 1:
        raise FieldError("m", shown(m), "it must be an integer of at least 1")
    if m == 1:
        return network

    def apply(
        params: PyTree, stats: PyTree, x: jax.Array, labels: Labels, key: Key, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        if x.shape[0] % m:
            raise FieldError("batch", f"{x.shape[0]} samples", f"packs of {m} need a multiple of {m}")
        packs = jnp.moveaxis(x.reshape(-1, m, *x.shape[1:]), 1, -2)  # [B / m, ..., m, C]
        packs = packs.reshape(*packs.shape[:-2], m * x.shape[-1])
        return network.apply(params, stats, packs, jax.tree.map(lambda each: each[::m], labels), key, train=train)

    return Network(network.init, apply, depends_on_batch=True)  # real and generated samples must not share a pack


def stages(network: Network) -> tuple[str, ...]:
    """Names the top-level groups of a network's parameters in the order in which the network uses them.

    A linen module makes its parameters when they are first used: so D's stages run from the images to the logit, and the
    first ones are those to keep when D is fine-tuned on other images. nnx and equinox modules give the order in which
    their attributes are assigned or declared. Nothing is computed.

    Args:
        network: one whose parameters are a dict.

    Returns:
        The keys of its parameters.

    Raises:
        ValueError: when the parameters are no dict.

    References:
        Mo et al. 2020, Freeze the discriminator: a simple baseline for fine-tuning GANs.
    """
    seen: list[PyTree] = []

    def traced(key: Key) -> PyTree:
        params, stats = network.init(key)
        seen.append(params)  # here, for outside of this function the keys are sorted
        return params, stats

    jax.eval_shape(traced, jax.eval_shape(lambda: jax.random.key(0)))
    if not isinstance(seen[0], dict):
        raise FieldError("network", f"its parameters are of type {type(seen[0]).__name__}", "stages need a dict")
    return tuple(seen[0])
