"""The user's parts and values, traced by their shapes alone, and refused where their results do not fit."""

import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxgan.core import fits, weighing
from jaxgan.core.terms import l1, l2
from jaxgan.core.types import Augment, Key, Loss, Network, Term
from jaxgan.nets.nested import words
from jaxgan.recipes import Recipe
from jaxgan.system.messages import FieldError, kind_of, shown
from jaxgan.training.dataset import Shape, given_of
from jaxgan.training.values import called, is_ours, latent_of, terms_of


def check_pair(recipe: Recipe, shape: Shape, loss: Loss, g: Network, d: Network) -> None:
    """Refuses parts and values of the user's whose results have the wrong shapes, by their shapes alone."""
    _check_latent(recipe)
    own = [player for player in ("generator", "discriminator") if not is_ours(type(getattr(recipe, player)))]
    count = recipe.batch_size // recipe.accumulate  # as in a step: a part that fits only another batch size is refused here
    judgements = (count // recipe.pack,)
    sample = jax.ShapeDtypeStruct((count, *shape.sample), jnp.float32)
    labels = given_of(shape, count)
    if not isinstance(recipe.augment, str):
        _check_augment(recipe.augment, sample)
    z = jax.eval_shape(lambda: latent_of(recipe)(jax.random.key(0), (count, recipe.generator.latent_dim)))
    if "generator" in own:
        made = _made("generator", _traced("generator", recipe.generator, g, z, labels))
        if made != sample.shape:
            raise FieldError(
                "generator", f"it makes samples {_shape(made[1:])}", f"those of the data are {_shape(shape.sample)}"
            )
    if "discriminator" in own:
        judged = _traced("discriminator", recipe.discriminator, d, sample, labels)
        scales = [_made("discriminator", each) for each in (judged if isinstance(judged, (tuple, list)) else (judged,))]
        if not scales or any(made[:1] != judgements for made in scales):
            got = f"it maps {_shape(sample.shape)} to {' and '.join(map(_shape, scales)) or 'nothing'}"
            one, many = _shape(judgements), f"({judgements[0]}, ..)"
            allowed = f"it must return one logit for each sample, {one}, those of its patches, {many}, or a tuple of these"
            raise FieldError("discriminator", got, allowed)
        fits.check_logits(judged, cast(jax.Array, sample))  # only shapes and dtypes are used
    logits = jax.ShapeDtypeStruct(judgements, jnp.float32)
    for player in ("d", "g") if not isinstance(recipe.loss, str) else ():
        value = called("loss", functools.partial(jax.eval_shape, getattr(loss, player), logits, logits))
        if not _is_real(value, judgements):
            got = f"it maps logits {_shape(judgements)} to {_told(value)}"
            raise FieldError(f"loss.{player}", got, "it must return one real number each")
    if not isinstance(recipe.penalty.name, str):
        _check_penalty(recipe, sample)
    for term in terms_of(recipe):
        _check_term(term, g, d, sample, {"label" if shape.condition is None else "condition": labels})


def _check_term(term: Term, g: Network, d: Network, sample: jax.ShapeDtypeStruct, given: dict[str, Any]) -> None:
    """Refuses a term whose values are not one for each sample, or that is balanced at a layer which G lacks."""

    def use(images: jax.Array, given: dict[str, Any]) -> Any:
        batch = {"image": images} | given
        if d.features is not None:
            params, stats = d.init(jax.random.key(0))
            (labels,) = given.values()
            of = d.features(params, stats, images, labels, jax.random.key(1), train=True)
            batch |= {"real_features": of, "fake_features": of}
        return term.function(images, batch, jax.random.key(0))

    if term.function in (l1, l2) and "condition" not in given:
        told = "the data have no condition, so it would pull each sample towards an unrelated real one"
        raise FieldError("terms", shown(term.label), told)
    values = called(f"terms.{term.label}", lambda: jax.eval_shape(use, sample, given))
    fits.check_term(term.label, values, sample)
    if term.balanced:
        weighing.last_layer(g, jax.eval_shape(g.init, jax.random.key(0))[0], term)


def _check_penalty(recipe: Recipe, sample: jax.ShapeDtypeStruct) -> None:
    def critic(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0] // recipe.pack, -1).sum(axis=1)

    def use(real: jax.Array, fake: jax.Array) -> Any:
        return recipe.penalty.name(critic, real, fake, jax.random.key(0))

    value = called("penalty", lambda: jax.eval_shape(use, sample, sample))
    judgements = (sample.shape[0] // recipe.pack,)
    if not _is_real(value, judgements):
        got = f"it returns {_told(value)} for {sample.shape[0]} samples"
        raise FieldError("penalty.name", got, f"it must return one real number for each logit, {_shape(judgements)}")


def _check_latent(recipe: Recipe) -> None:
    latent, length = latent_of(recipe), recipe.generator.latent_dim
    if isinstance(getattr(recipe.generator, "latent", "normal"), str):
        return
    for shape in ((4, length), (length,)):
        draw = functools.partial(_drawn, latent, shape)
        z = called("generator.latent", functools.partial(jax.eval_shape, draw))
        if getattr(z, "shape", None) != shape:
            raise FieldError("generator.latent", f"it returns {_told(z)} for the shape {_shape(shape)}", "it must be of that")


def _drawn(latent: Callable[[Key, tuple[int, ...]], Any], shape: tuple[int, ...]) -> Any:
    return latent(jax.random.key(0), shape)


def _check_augment(augment: Augment, sample: jax.ShapeDtypeStruct) -> None:
    def use(images: jax.Array) -> Any:
        return augment(jax.random.key(0), images, jnp.zeros(()))

    value = called("augment", lambda: jax.eval_shape(use, sample))
    if not _is_real(value, sample.shape):
        raise FieldError("augment", f"it maps {_shape(sample.shape)} to {_told(value)}", "it must return images of that shape")


def _is_real(value: Any, shape: tuple[int, ...]) -> bool:
    return getattr(value, "shape", None) == shape and jnp.issubdtype(value.dtype, jnp.floating)


def _told(value: Any) -> str:
    """Returns a result of the user's as a message names it: its shape, or its type where the type is wrong."""
    if not hasattr(value, "shape"):
        return kind_of(value)
    real = jnp.issubdtype(value.dtype, jnp.floating)
    return _shape(value.shape) if real else f"{value.dtype} {_shape(value.shape)}"


def _traced(player: str, part: Any, network: Network, x: Any, labels: Any) -> Any:
    def run(x: jax.Array, labels: jax.Array) -> Any:
        params, stats = network.init(jax.random.key(0))
        y, after = network.apply(params, stats, x, labels, jax.random.key(1), train=True)
        return params, stats, y, after

    params, stats, made, after = called(f"{player}: {type(part).__name__}", lambda: jax.eval_shape(run, x, labels))
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            name = "/".join(words(path))
            raise FieldError(player, f"parameter {name} is {leaf.dtype}", "gradients need real numbers; others belong to stats")
    for path, leaf in jax.tree.leaves_with_path((params, stats)):
        if not leaf.size:  # no checkpoint can hold it
            raise FieldError(player, f"{'/'.join(words(path[1:]))} has the shape {_shape(leaf.shape)}", "it must hold a number")
    if jax.tree.map(_form, stats) != jax.tree.map(_form, after):
        before, now = (_forms(tree) for tree in (stats, after))
        raise FieldError(player, f"its stats go from {before} to {now}", "they must keep their names, shapes and dtypes")
    return made


def _made(player: str, made: Any) -> tuple[int, ...]:
    if not hasattr(made, "shape"):
        raise FieldError(player, f"it returns {kind_of(made)}", "apply must return (array, stats)")
    return tuple(made.shape)


def _form(leaf: Any) -> tuple[tuple[int, ...], str]:
    return tuple(leaf.shape), str(leaf.dtype)


def _forms(tree: Any) -> str:
    found = [f"{'/'.join(words(path))} {leaf.dtype}{list(leaf.shape)}" for path, leaf in jax.tree.leaves_with_path(tree)]
    return ", ".join(found[:4] + (["..."] if len(found) > 4 else [])) or "none"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
