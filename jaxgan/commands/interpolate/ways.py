"""Ways through latent space, each as rows of samples: strips, loops, sheets, directions, morphs and mixtures of styles."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.commands.codes import Codes
from jaxgan.core import gan
from jaxgan.core.conditions import take
from jaxgan.latent import kept, law, mixing, walks
from jaxgan.latent.opened import Opened
from jaxgan.system import arrays, files
from jaxgan.system.messages import FieldError
from jaxgan.weights.portable import Sampler, Samples, leaving

_MOST = 1e6  # of a number of a code: squares of more overflow where a norm is taken of many
REACH = 3.0  # deviations to either side along a direction


class Row(NamedTuple):
    """A sample that goes a way: its number in the seed, and its class by the number that it is asked for by."""

    number: int
    label: int


Z = Callable[[jax.Array], jax.Array]  # the points [K, D] of a way to all of its codes [N, D]


def rows_of(sampler: Sampler, labels: Any) -> list[Row]:
    """Returns the samples that go the same way: one of each class, without classes the first four."""
    if sampler.about.classes or labels:
        return [Row(0, sampler.about.numbers[place]) for place in sampler.conditions(labels)[: None if labels else 16]]
    return [Row(i, 0) for i in range(1 if len(sampler.about.shape) == 1 else 4)]


def points(sampler: Sampler, seeds: Sequence[int], index: int) -> jax.Array:
    """Returns the latents of the samples of one index of several seeds, `[K, D]`."""
    at = np.full(1, index, np.int32)
    return jnp.concatenate([jnp.asarray(sampler.functions.latents(seed, at)) for seed in seeds])


def along(sampler: Sampler, seeds: Sequence[int], row: Row, way: Z) -> Samples:
    """Returns the samples on a way through those of a row's index of several seeds."""
    return of_codes(sampler, seeds[0], row, way(points(sampler, seeds, row.number)))


def of_codes(sampler: Sampler, seed: int, row: Row, z: Any) -> Samples:
    """Returns the samples of latents `[N, D]`, made for the class or condition of a row.

    Raises:
        FieldError: when the generator takes a condition, and there is none to show.
    """
    if sampler.about.condition is not None:
        if sampler.shown is None:
            told = "it has no conditions to walk with; a run has those of its pictures"
            raise FieldError("run", "the generator takes a condition", told, link=", and ")
        return sampler(seed=seed, z=z, condition=take(sampler.shown, np.full(1, row.number)))
    return sampler(seed=seed, labels=row.label if sampler.about.classes else None, z=z)


def closed(sampler: Sampler, frames: int, space: str = "z") -> Z:
    """Returns the way round: a periodic spline, for z on the shell where their law has one and within its ends."""
    if space != "z":
        return lambda ends: walks.loop(ends, frames, shell=False)
    drawn = jnp.asarray(sampler.functions.latents(0, np.arange(law.DRAWN, dtype=np.int32)))
    of = law.law_of(drawn)

    def way(ends: jax.Array) -> jax.Array:
        codes = walks.loop(ends, frames, shell=bool(of.concentrated))
        # What was drawn may lie beyond 4,096 others; the points stay where they are.
        low, high = jnp.minimum(of.low, ends.min(axis=0)), jnp.maximum(of.high, ends.max(axis=0))
        return jnp.clip(codes, low[None], high[None])

    return way


def of_direction(
    read: Callable[[], Opened], sampler: Sampler, path: Any, name: str, seed: int, rows: Sequence[Row], frames: int
) -> list[Samples]:
    """Returns the samples along a direction that was saved, from `REACH` deviations on one side to the other, a row each.

    Raises:
        FieldError: when there is no such direction, or it is of another generator.
    """
    found, number = kept.split(name)
    axes, steps = kept.read(path, found), np.linspace(-REACH, REACH, frames)
    if axes.space == "z":
        if axes.vectors.shape[1] != sampler.about.latent_dim:
            told = f"its vectors have {axes.vectors.shape[1]} numbers, and z has {sampler.about.latent_dim}"
            raise FieldError("direction", name, told)
        return [of_codes(sampler, seed, row, axes.along(points(sampler, [seed], row.number)[0], number, steps)) for row in rows]
    here, made = Codes(read(), axes.space, seed), []
    if axes.vectors.shape[1] != here.length:
        raise FieldError("direction", name, f"its vectors have {axes.vectors.shape[1]} numbers, and a style has {here.length}")
    for row in rows:
        given = here.given(row.number + 1, _place(sampler, row))
        codes = axes.along(here.drawn(row.number + 1, given)[row.number], number, steps)
        made.append(here.samples(codes, np.resize(given[-1:], frames)))
    return made


def morphs(found: Opened, sampler: Sampler, seeds: Sequence[int], labels: Sequence[int], frames: int) -> list[Samples]:
    """Returns the samples of each seed on the way from class to class, z held; a row for each seed.

    Styles go straight from those of one class to those of the next; a generator without them is shown a mixture of what its
    labels become first, see `latent.mixing`.

    Args:
        found: the generator.
        sampler: the same.
        seeds: of the samples.
        labels: classes by their places, two or more.
        frames: from one class to the next, both counted.
    """
    generator, key = found.generator, jax.random.key(seeds[0])
    weights = jax.device_put(found.weights, jax.local_devices()[0])
    z = jnp.concatenate([points(sampler, [seed], 0) for seed in seeds])
    here = Codes(found, seed=seeds[0])

    def between(weights: Any, z: jax.Array, first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
        if here.space == "w":
            ends = [here.codes_function(weights, z, given) for given in (first, second)]
            return here.image_function(weights, (1 - share) * ends[0] + share * ends[1], first)
        return mixing.mixed(lambda given: gan.sample(generator, weights, key, given, z=z), first, second, share)

    run, made, nearest = jax.jit(between), [], []
    for leg in range(len(labels) - 1):
        ends = [jnp.full(len(seeds), place, jnp.int32) for place in labels[leg : leg + 2]]
        shares = np.linspace(0.0, 1.0, frames)[0 if leg == 0 else 1 :]
        nearest += [labels[leg + bool(share == 1.0)] for share in shares]  # on the way, the class that is left
        made += [np.asarray(run(weights, z, *ends, jnp.float32(share)), np.float32) for share in shares]
    about = generator.about
    images = np.stack(made, axis=1)  # [seeds, frames, ..]
    numbers = np.array(about.numbers, np.int32)[nearest]
    return [Samples(leaving(each, about), numbers, about, sampler.draw) for each in images]


def mixtures(found: Opened, seeds: Sequence[int], place: int, cut: int | None) -> tuple[Samples, int]:
    """Returns a table of samples with coarse styles of one seed and fine ones of another, and its number of columns.

    The first row shows the fine seeds, the first column the coarse ones; an image in between has both of its own.

    Args:
        found: the generator.
        seeds: of the samples.
        place: of their class.
        cut: layers that the coarse seed gives; half of them by default.

    Raises:
        FieldError: when the generator has no styles, or the cut is out of range.
    """
    if found.generator.generator.map is None:
        raise FieldError("mix", "asked for", "this generator has no mapping to styles; only those can be mixed")
    given = np.full(1, place, np.int32)
    every = [Codes(found, "w+", seed).drawn(1, given) for seed in seeds]
    styles, here = jnp.concatenate([jnp.asarray(each) for each in every]), Codes(found, "w+", seeds[0])
    mixed = np.asarray(walks.style_mix(styles, styles, styles.shape[1] // 2 if cut is None else cut))
    count = len(seeds)
    own, rows = np.asarray(styles), []
    rows.append(np.concatenate([own[:1], own]))  # the corner is covered when it is drawn
    rows += [np.concatenate([own[i : i + 1], mixed[i]]) for i in range(count)]
    codes = np.concatenate(rows)
    return here.samples(codes, np.resize(given, len(codes))), count + 1


class Given(NamedTuple):
    """Codes of a file to walk between."""

    codes: np.ndarray  # [K, ...]
    space: str
    label: int  # by the number that it is asked for by


def read(path: str | Path, sampler: Sampler, labels: Any) -> Given:
    """Reads the codes of a file that `project` wrote, or any `.npz` with an array `latents [K, D]`.

    Args:
        path: of the file.
        sampler: of the generator.
        labels: one class, or None for that of the first code.

    Raises:
        FileNotFoundError: when there is no such file.
        FieldError: when it holds no latents, fewer than two, or some of another shape or not finite; or when classes differ.
    """
    try:
        held, names = arrays.npz(files.home_expanded(path), ["latents", "labels", "space"])
    except files.Missing as error:
        raise error.of("latents") from None
    except files.Unreadable as error:
        raise FieldError("latents", f"{path} is damaged or no .npz of plain arrays", error.cause, link=": ") from error
    codes, space = held.get("latents"), str(held.get("space", "z"))
    if codes is None or codes.dtype.kind != "f":
        raise FieldError("latents", f"{path} holds {', '.join(names) or 'nothing'}", "it must hold real numbers latents [K, D]")
    dim = sampler.about.latent_dim
    if codes.ndim < 2 or len(codes) < 2 or (space == "z" and codes.shape[1:] != (dim,)):
        told = f"it must be [K, {dim}]" if space == "z" else "it must be [K, ...]"
        raise FieldError("latents", f"of shape {list(codes.shape)}", f"{told} with K at least 2")
    if not np.isfinite(codes).all() or np.abs(codes).max() > _MOST:
        told = "values that are not finite" if not np.isfinite(codes).all() else f"values up to {np.abs(codes).max():g}"
        raise FieldError("latents", told, f"each must be a number of at most {_MOST:g}", link="; ")
    if sampler.about.condition is not None or not sampler.about.classes:
        return Given(codes, space, 0)
    places = sampler.conditions(_label(path, held["labels"], len(codes)) if labels is None and "labels" in held else labels)
    if labels is None and "labels" not in held:
        places = places[:1]
    if len(places) > 1:
        raise FieldError("labels", f"{len(places)} classes", "a walk between given latents is of one")
    return Given(codes, space, sampler.about.numbers[places[0]])


def _label(path: str | Path, labels: np.ndarray, count: int) -> list[int]:
    """Returns the class of the first code of a file."""
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        told = f"they must be whole numbers, one for each of {count} latents"
        raise FieldError("labels", f"{path} holds {labels.dtype} {list(labels.shape)}", told, link="; ")
    return [int(labels[0])]


def between(read_: Callable[[], Opened], sampler: Sampler, given: Given, seed: int, way: Z) -> Samples:
    """Returns the samples on a way through given codes.

    Raises:
        FieldError: when the generator has no such space, or its codes are of another shape.
    """
    row = Row(0, given.label)
    if given.space == "z":
        return of_codes(sampler, seed, row, way(jnp.asarray(given.codes)))
    here = Codes(read_(), given.space, seed)
    if (own := here.drawn(1).shape[1:]) != given.codes.shape[1:]:
        raise FieldError(
            "latents", f"of shape {list(given.codes.shape)}", f"those of {given.space} are [K, {str(list(own))[1:]}"
        )
    codes = np.asarray(way(jnp.asarray(given.codes.reshape(len(given.codes), -1)))).reshape(-1, *own)
    return here.samples(codes, here.given(len(codes), _place(sampler, row)))


def _place(sampler: Sampler, row: Row) -> list[int]:
    return [sampler.about.numbers.index(row.label) if sampler.about.classes else 0]
