"""The operations of the augmentation pipe: their multipliers, the distributions of their values, the named pipes."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Pipe(NamedTuple):
    """Multipliers of the operations: each acts with the probability `multiplier * strength`; 0 leaves it out."""

    xflip: float = 0.0  # mirrored left and right, or not
    rotate90: float = 0.0  # by 0 to 3 quarter turns
    xint: float = 0.0  # shifted by whole pixels, up to an eighth of each side
    scale: float = 0.0  # by a log-normal factor
    rotate: float = 0.0  # by any angle, before stretching, and again after
    aniso: float = 0.0  # stretched along one axis, shrunk along the other
    xfrac: float = 0.0  # shifted by fractions of pixels
    brightness: float = 0.0
    contrast: float = 0.0
    lumaflip: float = 0.0  # light to dark with the hue kept, or not
    hue: float = 0.0
    saturation: float = 0.0
    imgfilter: float = 0.0  # four bands of frequencies, each amplified or damped
    noise: float = 0.0
    cutout: float = 0.0  # a box of half of each side is 0


_BLIT = Pipe(xflip=1, rotate90=1, xint=1)
_GEOM = Pipe(scale=1, rotate=1, aniso=1, xfrac=1)
_COLOR = Pipe(brightness=1, contrast=1, lumaflip=1, hue=1, saturation=1)


def _together(*pipes: Pipe) -> Pipe:
    return Pipe(*map(max, *pipes))


_BGC = _together(_BLIT, _GEOM, _COLOR)

PIPES = {
    "blit": _BLIT,
    "geom": _GEOM,
    "color": _COLOR,
    "filter": Pipe(imgfilter=1),
    "noise": Pipe(noise=1),
    "cutout": Pipe(cutout=1),
    "bg": _together(_BLIT, _GEOM),
    "bgc": _BGC,
    "bgcf": _BGC._replace(imgfilter=1),
    "bgcfn": _BGC._replace(imgfilter=1, noise=1),
    "bgcfnc": _BGC._replace(imgfilter=1, noise=1, cutout=1),
    "r3gan": _together(_BLIT, _GEOM, Pipe(*(0.5 * each for each in _COLOR)))._replace(cutout=1),
}


class Draws(NamedTuple):
    """The random numbers for a batch, by the names of the operations and `rotate_after`. The strength has no part in them."""

    values: dict[str, jax.Array]  # `[B]`, shifts and cutout `[B, 2]` (x, y), imgfilter `[B, 4]`; `noise_field` `[B, H, W, C]`
    gates: dict[str, jax.Array]  # `[B]`, imgfilter `[B, 4]`; uniform: an operation acts where below its probability


class Operation(NamedTuple):
    """The distribution of an operation's values, and their meaning."""

    normal: bool  # its values are drawn from N(0, 1), else uniformly from [0, 1)
    shape: tuple[int, ...]  # of one image's value
    parameter: Callable[[jax.Array], jax.Array]  # what a value means
    rest: float  # the parameter that changes nothing
    gates: tuple[int, ...] = ()  # shape of one image's gates


OPERATIONS = {
    "xflip": Operation(False, (), lambda u: jnp.floor(2 * u), 0.0),
    "rotate90": Operation(False, (), lambda u: jnp.floor(4 * u), 0.0),
    "xint": Operation(False, (2,), lambda u: (2 * u - 1) * 0.125, 0.0),
    "scale": Operation(True, (), lambda n: jnp.exp2(0.2 * n), 1.0),
    "rotate": Operation(False, (), lambda u: (2 * u - 1) * math.pi, 0.0),
    "aniso": Operation(True, (), lambda n: jnp.exp2(0.2 * n), 1.0),
    "rotate_after": Operation(False, (), lambda u: (2 * u - 1) * math.pi, 0.0),
    "xfrac": Operation(True, (2,), lambda n: 0.125 * n, 0.0),
    "brightness": Operation(True, (), lambda n: 0.2 * n, 0.0),
    "contrast": Operation(True, (), lambda n: jnp.exp2(0.5 * n), 1.0),
    "lumaflip": Operation(False, (), lambda u: jnp.floor(2 * u), 0.0),
    "hue": Operation(False, (), lambda u: (2 * u - 1) * math.pi, 0.0),
    "saturation": Operation(True, (), jnp.exp2, 1.0),
    "imgfilter": Operation(True, (4,), jnp.exp2, 1.0, (4,)),
    "noise": Operation(True, (), lambda n: 0.1 * jnp.abs(n), 0.0),
    "cutout": Operation(False, (2,), lambda u: u, 2.0),  # the box's centre in sides of the image; 2: it is nowhere near
}
GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "rotate_after", "xfrac")
COLORS = ("brightness", "contrast", "lumaflip", "hue", "saturation")


def multiplier_of(pipe: Pipe, name: str) -> float:
    """The multiplier of an operation; `rotate_after` has that of `rotate`."""
    return float(pipe._asdict()["rotate" if name == "rotate_after" else name])
