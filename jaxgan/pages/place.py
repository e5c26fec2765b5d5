"""A point in latent space, as the query of the page's address gives it, and the samples there."""

import base64
import binascii
import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jaxgan.core import latents
from jaxgan.system.messages import FieldError, no_such_field, shown
from jaxgan.weights.portable import About, Sampler, Samples

NAMES = ("seeds", "x", "y", "n", "label", "psi", "d", "z")
MOST = 64  # samples at a time; of vectors more
_MOST_VECTORS = 4_096
_FARTHEST = 1_000.0  # times a direction


class Place(NamedTuple):
    """Everything that decides what is shown."""

    seeds: tuple[int, ...] = (0, 1, 2, 3)  # of the corners: left and right above, left and right below
    x: float = 0.0  # share of the way from left to right
    y: float = 0.0  # share of the way down
    n: int = 1  # samples
    labels: tuple[int, ...] | None = None  # by the numbers that classes are asked for by; each in turn by default
    psi: float | None = None  # truncation
    moves: tuple[tuple[str, float], ...] = ()  # directions, and how far along each
    z: NDArray[np.float32] | None = None  # [D], in place of the corners


def parse(query: Sequence[tuple[str, str]], sampler: Sampler, directions: Mapping[str, NDArray[np.float32]]) -> Place:
    """Reads a place from names and values; what is not named has its default.

    Args:
        query: pairs: `seeds` one to four seeds with commas, `x`, `y`, `n`, `label` classes by name or number, `psi`, any number
            of `d`, each `NAME:FACTOR`, and `z` latents, `[D]` float32 as base64.
        sampler: whose place it is.
        directions: latents `[D]` by name.

    Raises:
        ValueError: one line, when a name or value is not allowed.
    """
    about, given = sampler.about, dict[str, str]()
    for name, value in query:
        if name not in NAMES:
            raise no_such_field(name, NAMES)
        if name in given and name != "d":
            raise FieldError(name, "given twice", "one value is allowed")
        given[name] = value
    most = _MOST_VECTORS if len(about.shape) == 1 else MOST
    found = Place(
        seeds=_seeds(given.get("seeds", "0")),
        x=_number("x", given.get("x", "0"), 0.0, 1.0),
        y=_number("y", given.get("y", "0"), 0.0, 1.0),
        n=_whole("n", given.get("n", str(usual(about))), 1, most),
        labels=_labels(given.get("label"), sampler),
        psi=_number("psi", given["psi"], 0.0, math.inf) if "psi" in given else None,
        moves=tuple(_move(value, directions) for name, value in query if name == "d"),
        z=_latents(given["z"], about.latent_dim) if "z" in given else None,
    )
    if not mixes(about) and (found.x or found.y or found.moves or found.z is not None):
        raise FieldError("x", found.x, f"latents are {about.latent_dtype}, and between whole numbers there is no way")
    sampler.check_truncation(found.psi)
    return found


def usual(about: About) -> int:
    """Returns how many samples are shown at first: one; for vectors, enough to show their distribution."""
    return 1 if len(about.shape) > 1 else 1_000


def mixes(about: About) -> bool:
    """Returns whether latents can be interpolated."""
    return np.issubdtype(about.latent_dtype, np.floating)


def latents_at(place: Place, sampler: Sampler, directions: Mapping[str, NDArray[np.float32]]) -> np.ndarray:
    """Returns the latents of a place, `[n, D]`: of each index the great circles between those of the corners' seeds."""
    index, draw = np.arange(place.n, dtype=np.int32), sampler.functions.latents
    if place.z is not None:
        found = np.repeat(place.z[None], place.n, axis=0)
    elif place.x or place.y:
        found = np.asarray(_between(*(draw(seed, index) for seed in place.seeds), place.x, place.y))
    else:
        found = np.asarray(draw(place.seeds[0], index))
    for name, factor in place.moves:
        found = found + np.float32(factor) * directions[name][None]
    return found


@functools.partial(jax.jit)
def _between(a: jax.Array, b: jax.Array, c: jax.Array, d: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return latents.slerp(latents.slerp(a, b, x), latents.slerp(c, d, x), y)


def samples_at(place: Place, sampler: Sampler, directions: Mapping[str, NDArray[np.float32]]) -> tuple[Samples, np.ndarray]:
    """Returns the samples of a place, and their latents `[n, D]`."""
    z = latents_at(place, sampler, directions)
    labels = None if place.labels is None else list(place.labels)
    return sampler(seed=place.seeds[0], z=z, labels=labels, truncation=place.psi), z


def as_text(z: NDArray[np.float32]) -> str:
    """Returns latents `[D]` as a query holds them."""
    return base64.urlsafe_b64encode(np.asarray(z, "<f4").tobytes()).decode().rstrip("=")


def _latents(text: str, dim: int) -> NDArray[np.float32]:
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise FieldError("z", shown(text), "it must be base64 of float32 numbers") from error
    if len(content) != 4 * dim:
        raise FieldError("z", f"{len(content)} bytes", f"latents here are {dim} float32 numbers")
    found = np.frombuffer(content, "<f4").astype(np.float32)
    if not np.isfinite(found).all():
        raise FieldError("z", "not finite", "its numbers must be finite")
    return found


def _seeds(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) > 4:
        raise FieldError("seeds", shown(text), "they are one to four")
    found = [_whole("seeds", part, 0, 2**32 - 1) for part in parts]
    return tuple(found + [(found[0] + i) % 2**32 for i in range(len(found), 4)])


def _labels(text: str | None, sampler: Sampler) -> tuple[int, ...] | None:
    if text is None or text == "":
        return None
    return tuple(sampler.about.numbers[place] for place in sampler.conditions(text))


def _move(text: str, directions: Mapping[str, NDArray[np.float32]]) -> tuple[str, float]:
    name, _, factor = text.rpartition(":")
    if name not in directions:
        raise FieldError(
            "d", shown(text), f"it must be NAME:FACTOR with one of {', '.join(directions) or 'none, there are none'}"
        )
    return name, _number("d", factor, -_FARTHEST, _FARTHEST)


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 12 or not least <= int(text) <= most:
        raise FieldError(name, shown(text), f"it must be a whole number from {least} to {most:,}")
    return int(text)


def _number(name: str, text: str, least: float, most: float) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not least <= found <= most or not math.isfinite(found):
        ends = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
        raise FieldError(name, shown(text), f"it must be a number {ends}")
    return found
