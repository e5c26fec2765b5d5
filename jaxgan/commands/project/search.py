"""The search for codes: every start of every class at once, by programs that are compiled once for all images."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import pictures
from jaxgan.core import conditions, latents
from jaxgan.core.types import Weights
from jaxgan.latent import inversion, law, spaces
from jaxgan.latent.opened import Opened

LOOKED_AT = 32  # draws for each start, of which the nearest to an image are taken
TRIED = 0.25  # part of the steps after which, of several classes, only the best codes go on
_BATCH = 512  # codes on their way at a time, at most
_BETWEEN = 5  # images of the way, beside the first and the last


class Given(NamedTuple):
    """The classes, or the condition, that each image may be made for."""

    places: np.ndarray  # [T, C] of classes
    conditions: Any  # arrays [T, ...], or None

    def of(self, images: np.ndarray, places: np.ndarray) -> Any:
        """Returns labels `[N]`, or the conditions of images by their numbers `[N]`."""
        return places.astype(np.int32) if self.conditions is None else conditions.take(self.conditions, images)


class Found(NamedTuple):
    """The codes of images."""

    codes: np.ndarray  # [T, *shape]
    places: np.ndarray  # [T] of classes
    made: np.ndarray  # [T, ...] as the generator makes them
    way: np.ndarray  # [T, frames, ...], from the first image to the last
    error: np.ndarray  # [T], mean square


class Programs(NamedTuple):
    """Functions of a generator, compiled, with what they are given each time."""

    weights: Weights
    law: law.Law
    looked_at: jax.Array  # z [M, D]
    codes: Callable[..., jax.Array]  # (weights, z, given) -> codes
    images: Callable[..., jax.Array]  # (weights, codes, given) -> images
    step: Callable[..., inversion.Search]  # (weights, law, search, targets, given, share) -> search
    nearest: Callable[..., jax.Array]  # (images [M, ...], targets [T, ...]) -> [T, restarts]
    errors: Callable[..., jax.Array]


def programs(found: Opened, space: str, given: Given, *, restarts: int, seed: int) -> Programs:
    """Makes the programs of a search; nothing is compiled yet but what the law is drawn by.

    Args:
        found: the generator.
        space: of the codes.
        given: of the images.
        restarts: codes on their way to each image.
        seed: of the draws.
    """
    generator, key = found.generator, jax.random.key(seed)
    weights = jax.device_put(found.weights, jax.local_devices()[0])
    z = latents.draw(key, jnp.arange(law.DRAWN), generator.latent_dim, latent=generator.latent)
    codes = jax.jit(lambda weights, z, given: spaces.codes_of(generator, space, weights, key, z, given))
    every = given.of(np.arange(law.DRAWN), np.resize(given.places.reshape(-1), law.DRAWN))
    layers = 1 if space == "z" else spaces.layers_of(generator, weights, z, every)
    clipped = pictures.are_pictures(generator.shape.sample, generator.units)

    def images(weights: Weights, codes: jax.Array, given: Any) -> jax.Array:
        return spaces.images_of(generator, space, weights, key, codes, given, layers)

    def step(weights: Weights, of: law.Law, search: Any, wanted: jax.Array, given: Any, share: jax.Array) -> Any:
        return inversion.step(lambda x: images(weights, x, given), of, search, wanted, share, clipped=clipped)

    return Programs(
        weights,
        law.law_of(codes(weights, z, every)),
        z[: min(LOOKED_AT * restarts, law.DRAWN)],
        codes,
        jax.jit(images),
        jax.jit(step, donate_argnums=2),
        jax.jit(functools.partial(inversion.nearest, count=restarts, clipped=clipped)),
        jax.jit(functools.partial(inversion.errors, clipped=clipped)),
    )


def search(
    of: Programs,
    targets: np.ndarray,
    given: Given,
    *,
    restarts: int,
    steps: int,
    tick: Callable[[int], object] = lambda _: None,
) -> Found:
    """Finds the codes of images, as many images at a time as suits.

    Args:
        of: the programs.
        targets: `[T, ...]` in [-1, 1].
        given: of these.
        restarts: codes on their way to each image.
        steps: of Adam.
        tick: called with the number of images done.
    """
    count = len(targets)
    together = min(max(_BATCH // restarts, 1), count)
    parts = []
    for start in range(0, count, together):
        index = (start + np.arange(together)) % count  # the last ones are filled up, or they would compile anew
        part = _together(of, targets[index], given, index, restarts, steps)
        parts.append(Found(*(x[: count - start] for x in part)))
        tick(min(together, count - start))
    return Found(*map(np.concatenate, zip(*parts, strict=True)))


def _together(of: Programs, targets: np.ndarray, given: Given, index: np.ndarray, restarts: int, steps: int) -> Found:
    """Finds the codes of images whose codes fit into one batch."""
    classes, count = given.places.shape[1], len(targets)
    wanted, numbers = jnp.asarray(np.repeat(targets, restarts, axis=0)), np.repeat(index, restarts)
    tried = max(round(TRIED * steps), 1) if classes > 1 else 0
    begun = []
    for c in range(classes):
        codes, places = _starts(of, targets, given, index, given.places[index, c]), np.repeat(given.places[index, c], restarts)
        moved, _ = _moved(of, codes, wanted, given.of(numbers, places), range(tried), steps)
        begun.append((codes, places, moved, np.asarray(_errors(of, moved, wanted, given.of(numbers, places)))))
    first, places, codes, error = (np.stack([np.asarray(each[i]) for each in begun]) for i in range(4))
    # Of all classes' codes of an image the best go on: [C, T, R] -> [T, R].
    apart = [x.reshape(classes, count, restarts, *x.shape[2:]).swapaxes(0, 1) for x in (first, places, codes, error)]
    flat = [x.reshape(count, classes * restarts, *x.shape[3:]) for x in apart]
    chosen = np.argsort(flat[3], axis=1, kind="stable")[:, :restarts]
    rows = np.arange(count)[:, None]
    first, places, codes = (x[rows, chosen].reshape(count * restarts, *x.shape[2:]) for x in flat[:3])
    labels = given.of(numbers, places)
    last, seen = _moved(of, codes, wanted, labels, range(tried, steps), steps)
    error = np.asarray(_errors(of, last, wanted, labels))
    best = np.arange(count) * restarts + error.reshape(count, restarts).argmin(axis=1)
    way = [np.asarray(of.images(of.weights, jnp.asarray(each), labels))[best] for each in (first, *seen, last)]
    return Found(np.asarray(last)[best], places[best], way[-1], np.stack(way, axis=1), error[best])


def _starts(of: Programs, targets: np.ndarray, given: Given, index: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns the codes `[T R, *shape]` of the draws that are nearest to each image, for one class each."""
    found: list[Any] = [None] * len(targets)
    groups: list[np.ndarray] = [np.flatnonzero(places == place) for place in np.unique(places)]
    if given.conditions is not None:
        groups = list(np.arange(len(index))[:, None])
    many = len(of.looked_at)
    for group in groups:
        labels = given.of(np.full(many, index[group[0]]), np.full(many, places[group[0]]))
        codes = of.codes(of.weights, of.looked_at, labels)
        made = of.images(of.weights, codes, labels)
        near = np.asarray(of.nearest(made, jnp.asarray(targets)))  # of all images, so that one program does
        for i in group:
            found[i] = np.asarray(codes)[near[i]]
    return np.concatenate(found)


def _moved(
    of: Programs, codes: Any, wanted: jax.Array, given: Any, numbers: range, steps: int
) -> tuple[jax.Array, list[np.ndarray]]:
    """Moves codes by some of the steps, and keeps where they were at a few of them."""
    going, seen = inversion.start(jnp.array(codes)), []
    marks = {numbers.start + round(len(numbers) * (part / (_BETWEEN + 1)) ** 2) for part in range(1, _BETWEEN + 1)}
    for number in numbers:  # not lax.scan: XLA's CPU convolutions lose their fast path inside a loop
        if number in marks:
            seen.append(np.asarray(going.codes))
        going = of.step(of.weights, of.law, going, wanted, given, jnp.float32(number / steps))
    return going.codes, seen


def _errors(of: Programs, codes: jax.Array, wanted: jax.Array, given: Any) -> jax.Array:
    return of.errors(of.images(of.weights, codes, given), wanted)
