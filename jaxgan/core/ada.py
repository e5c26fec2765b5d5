"""The augmentations of StyleGAN2-ADA: what D sees is moved, recoloured, filtered and cut, with a probability that adapts.

An image passes through, in this order: mirror, quarter turns, shifts, scaling, rotation and stretching, all as one
resampling; brightness, contrast, flipped luma, hue and saturation, all as one affine map of its colours; a filter of its
frequencies; noise; a box cut out. Each acts with a probability of its own, so that at less than certainty no transformation
is more likely than to be left alone, and G does not learn to make transformed images (Karras et al. 2020, section 2.2).

`draw` draws, `apply` applies: images go through linear maps and additions only, twice differentiable, as a gradient penalty
needs it. `ada` is both, an `Augment`; `adapt` moves the strength by what D says of real images.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.types import Adaptive, Augment, Images, Key
from jaxgan.system.messages import not_one_of


class Pipe(NamedTuple):
    """How often each operation acts: with the probability `multiplier * strength`; 0 leaves it out."""

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
    """All that chance brings to a batch, by the names of the operations and `rotate_after`; and nothing of the strength."""

    values: dict[str, jax.Array]  # `[B]`, shifts and cutout `[B, 2]` (x, y), imgfilter `[B, 4]`; `noise_field` `[B, H, W, C]`
    gates: dict[str, jax.Array]  # `[B]`, imgfilter `[B, 4]`; uniform: an operation acts where below its probability


class _Operation(NamedTuple):
    normal: bool  # its values are drawn from N(0, 1), else uniformly from [0, 1)
    shape: tuple[int, ...]  # of one image's value
    parameter: Callable[[jax.Array], jax.Array]  # what a value means
    rest: float  # the parameter that changes nothing
    gates: tuple[int, ...] = ()  # shape of one image's gates


_OPERATIONS = {
    "xflip": _Operation(False, (), lambda u: jnp.floor(2 * u), 0.0),
    "rotate90": _Operation(False, (), lambda u: jnp.floor(4 * u), 0.0),
    "xint": _Operation(False, (2,), lambda u: (2 * u - 1) * 0.125, 0.0),
    "scale": _Operation(True, (), lambda n: jnp.exp2(0.2 * n), 1.0),
    "rotate": _Operation(False, (), lambda u: (2 * u - 1) * math.pi, 0.0),
    "aniso": _Operation(True, (), lambda n: jnp.exp2(0.2 * n), 1.0),
    "rotate_after": _Operation(False, (), lambda u: (2 * u - 1) * math.pi, 0.0),
    "xfrac": _Operation(True, (2,), lambda n: 0.125 * n, 0.0),
    "brightness": _Operation(True, (), lambda n: 0.2 * n, 0.0),
    "contrast": _Operation(True, (), lambda n: jnp.exp2(0.5 * n), 1.0),
    "lumaflip": _Operation(False, (), lambda u: jnp.floor(2 * u), 0.0),
    "hue": _Operation(False, (), lambda u: (2 * u - 1) * math.pi, 0.0),
    "saturation": _Operation(True, (), jnp.exp2, 1.0),
    "imgfilter": _Operation(True, (4,), jnp.exp2, 1.0, (4,)),
    "noise": _Operation(True, (), lambda n: 0.1 * jnp.abs(n), 0.0),
    "cutout": _Operation(False, (2,), lambda u: u, 2.0),  # the box's centre in sides of the image; 2: it is nowhere near
}
_GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "rotate_after", "xfrac")
_COLORS = ("brightness", "contrast", "lumaflip", "hue", "saturation")


def ada(pipe: str | Pipe = "bgc") -> Augment:
    """The augmentation pipe of StyleGAN2-ADA, each image by draws of its own.

    Args:
        pipe: one of `PIPES`: `bgc`, the paper's choice, is blit, geom and color, and f, n and c add filter, noise and
            cutout; `r3gan` is that paper's. Or multipliers of one's own.

    Returns:
        `(key, images [B, H, W, C], strength) -> images`, not clipped. The strength, in [0, 1] and possibly traced, is the
        probability of an operation with multiplier 1: at 0 the images come back as they are, bit for bit. Raises ValueError
        for what is no batch of images in floating point, for colours of other than 1 or 3 channels, and for a strength out
        of range where it is a Python number.

    Raises:
        ValueError: when the pipe is unknown, or a multiplier negative or not finite.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data, section 2 and appendix B;
        for `r3gan` Huang et al. 2024, The GAN is dead; long live the GAN.
    """
    if isinstance(pipe, str) and pipe not in PIPES:
        raise not_one_of("pipe", pipe, PIPES)
    chosen = PIPES[pipe] if isinstance(pipe, str) else pipe
    for name, multiplier in chosen._asdict().items():
        if not 0.0 <= multiplier < math.inf:
            raise ValueError(f"pipe.{name}: {multiplier!r}, but a multiplier of a probability must be finite and at least 0")

    def augment(key: Key, images: Images, strength: jax.Array | float) -> Images:
        if images.ndim != 4:
            raise ValueError(f"images: shape {images.shape}, but augmentations need [B, H, W, C]; points cannot be augmented")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(f"images: {images.dtype}, but augmentations need floating point in [-1, 1]")
        if isinstance(strength, int | float) and not 0.0 <= strength <= 1.0:
            raise ValueError(f"strength: {strength!r}, but it is a probability and must be in [0, 1]")
        return apply(chosen, draw(key, chosen, images.shape, _precise(images)), images, strength)

    return augment


def draw(key: Key, pipe: Pipe, shape: tuple[int, ...], dtype: jnp.dtype | type = jnp.float32) -> Draws:
    """Draws all values and gates that a pipe's operations need; those of one do not depend on which others there are.

    Args:
        key: of these draws alone.
        pipe: operations with multiplier 0 are left out.
        shape: of the images, `(B, H, W, C)`.
        dtype: of the draws.

    Returns:
        Uniform and standard normal numbers.
    """
    # All that the table may need, in two calls: that is little to run, while each call is slow to compile.
    sizes = [(math.prod(operation.shape), math.prod(operation.gates)) for operation in _OPERATIONS.values()]
    uniform = jax.random.uniform(jax.random.fold_in(key, 0), (shape[0], sum(map(sum, sizes))), dtype)
    normal = jax.random.normal(jax.random.fold_in(key, 1), uniform.shape, dtype)
    values, gates, start = {}, {}, 0
    for (name, operation), (numbers, more) in zip(_OPERATIONS.items(), sizes, strict=True):
        middle, end = start + numbers, start + numbers + more
        if _multiplier(pipe, name):
            source = normal if operation.normal else uniform
            values[name] = source[:, start:middle].reshape(shape[0], *operation.shape)
            gates[name] = uniform[:, middle:end].reshape(shape[0], *operation.gates)
        start = end
    if pipe.noise:
        values["noise_field"] = jax.random.normal(jax.random.fold_in(key, 2), shape, dtype)
    return Draws(values, gates)


def apply(pipe: Pipe, draws: Draws, images: Images, strength: jax.Array | float) -> Images:
    """Applies to each image what was drawn for it. An image that no operation of a kind acts on passes it bit for bit.

    Args:
        pipe: operations with multiplier 0 are left out.
        draws: for a batch of this size.
        images: `[B, H, W, C]`, C 1 or 3 where colours change. Half precision is computed in float32.
        strength: in [0, 1], a scalar.

    Returns:
        `[B, H, W, C]` of the images' dtype, not clipped.

    Raises:
        ValueError: when the pipe changes colours and the images have neither 1 nor 3 channels.
    """
    channels, dtype = images.shape[3], _precise(images)
    parameters, acts = {}, {}
    for name, operation in _OPERATIONS.items():
        if multiplier := _multiplier(pipe, name):
            if name in _COLORS and channels not in (1, 3):
                raise ValueError(f"images: {channels} channels, but {name} needs 1 or 3 of them")
            chance = jnp.clip(multiplier * jnp.asarray(strength, dtype), 0.0, 1.0)
            if name in ("rotate", "rotate_after"):  # either one acts with the probability asked for
                chance = 1.0 - jnp.sqrt(1.0 - chance)
            act = draws.gates[name] < chance
            parameter = operation.parameter(draws.values[name].astype(dtype))
            acts[name] = act.reshape(images.shape[0], -1).any(axis=1)
            parameters[name] = jnp.where(act.reshape(*act.shape, *[1] * (parameter.ndim - act.ndim)), parameter, operation.rest)

    def where_any(names: tuple[str, ...], change: Callable[[Images], Images], x: Images) -> Images:
        masks = [acts[name] for name in names if name in acts]
        if not masks:
            return x
        return jnp.where(functools.reduce(jnp.logical_or, masks)[:, None, None, None], change(x), x)

    x = images.astype(dtype)
    with jax.default_matmul_precision("highest"):  # accelerators would multiply coordinates and pixels in fewer bits
        x = where_any(_GEOMETRY, lambda x: _moved(x, parameters), x)
        x = where_any(_COLORS, lambda x: _recoloured(x, parameters), x)
        x = where_any(("imgfilter",), lambda x: _filtered(x, parameters["imgfilter"]), x)
    if "noise" in parameters:
        x = x + parameters["noise"][:, None, None, None] * draws.values["noise_field"].astype(dtype)
    if "cutout" in parameters:
        x = jnp.where(_in_box(parameters["cutout"], x), 0.0, x)
    return x.astype(images.dtype)


def adapt(
    strength: jax.Array | float,
    sign_mean: jax.Array | float,
    *,
    images: int,
    target: float = 0.6,
    length: int = 500_000,
) -> jax.Array:
    """Moves the strength so that D, on real images, is right that often: more of it the more D overfits.

    Args:
        strength: in [0, 1], a scalar.
        sign_mean: mean sign of D's logits on real images since the last time, from -1 to 1; nearer to 1 D overfits.
        images: real images that D was shown since the last time.
        target: where the mean sign should stay.
        length: images in which the strength can go from 0 to 1.

    Returns:
        The strength moved by `images / length` up or down. Clipped at 1 as well, where probabilities end: beyond, nothing
        would change with multipliers of 1, and the way back would take as long as the way there.

    References:
        Karras et al. 2020, Training generative adversarial networks with limited data, section 3.1, r_t of equation 1.
    """
    return jnp.clip(strength + jnp.sign(sign_mean - target) * (images / length), 0.0, 1.0)


def adaptive(target: float = 0.6, length: int = 500_000) -> Adaptive:
    """A strength from 0 on, moved by `adapt` after each step; what it remembers is the strength.

    Args:
        target: where the mean sign of D's logits on real images should stay, in (-1, 1).
        length: images in which the strength can go from 0 to 1.

    Returns:
        An `Adaptive`, for `make_gan`'s `augment_strength`.

    Raises:
        ValueError: when a number is out of range.
    """
    if not -1.0 < target < 1.0:
        raise ValueError(f"target: {target!r}, but a mean of signs to keep to must lie between -1 and 1")
    if not length >= 1:
        raise ValueError(f"length: {length!r}, but it is a number of images and must be at least 1")

    def update(strength: jax.Array, sign_mean: jax.Array, images: int) -> jax.Array:
        return adapt(strength, sign_mean, images=images, target=target, length=length)

    return Adaptive(lambda: jnp.zeros(()), lambda strength: strength, update)


# ---------------------------------------------------------------------------------------------------------------- geometry

# The wavelet sym6's low-pass filter, of sum 1: enlarging by it and shrinking by its mirror image changes nothing at all.
_SYM6 = np.array(
    [
        [0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633],
        [0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252],
        [-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148],
    ]
).ravel() / math.sqrt(2)
_MARGIN = 3  # pixels about the result that the filter needs


def _moved(images: Images, parameters: dict[str, jax.Array]) -> Images:
    """Reflects, enlarges twice, samples where each pixel comes from, shrinks.

    Padding and filters are linear along each axis: two matrices. So nothing is filtered twice, and no padded image is ever
    held but the enlarged one, in which every place that any transformation looks at is one of four neighbours.
    """
    batch, height, width, channels = images.shape
    enlarged = jnp.einsum("yi,bijc->byjc", _enlarging(height, images.dtype), images)
    enlarged = jnp.einsum("xj,byjc->byxc", _enlarging(width, images.dtype), enlarged)
    rows, columns = enlarged.shape[1:3]

    # From the result's places to places in the enlarged image, both in its pixels and from the middle, where they are exact.
    inverse = _inverse(parameters, batch, height, width).astype(images.dtype)
    across = jnp.arange(2 * (width + 2 * _MARGIN), dtype=images.dtype) + (1 - width - 2 * _MARGIN)
    down = jnp.arange(2 * (height + 2 * _MARGIN), dtype=images.dtype) + (1 - height - 2 * _MARGIN)
    x, y = (
        inverse[:, i, 0, None, None] * across[None, None, :]
        + inverse[:, i, 1, None, None] * down[None, :, None]
        + 2 * inverse[:, i, 2, None, None]
        for i in range(2)
    )
    left, right = _whole_and_part(x, columns)
    above, below = _whole_and_part(y, rows)
    first = above * columns + left

    def neighbour(offset: int) -> jax.Array:
        places = (first + offset).reshape(batch, -1)
        pixels = jax.vmap(lambda image, at: image.at[at].get(mode="promise_in_bounds"))
        return pixels(enlarged.reshape(batch, -1, channels), places).reshape(*first.shape, channels)

    sampled = (neighbour(0) * (1 - right) + neighbour(1) * right) * (1 - below)
    sampled = sampled + (neighbour(columns) * (1 - right) + neighbour(columns + 1) * right) * below
    shrunk = jnp.einsum("iy,byxc->bixc", _shrinking(height, images.dtype), sampled)
    return jnp.einsum("jx,bixc->bijc", _shrinking(width, images.dtype), shrunk)


def _whole_and_part(place: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Index of the pixel before a place, which is counted from the middle, and the part of the way to the next, `[.., 1]`.

    The first of these pixels and the last two are zeros: what lies further out is zero as well.
    """
    middle = (size - 3) // 2
    place = jnp.clip(place, -middle, size - 2 - middle)
    whole = jnp.floor(place)
    return whole.astype(jnp.int32) + middle, (place - whole)[..., None]


def _inverse(parameters: dict[str, jax.Array], batch: int, height: int, width: int) -> jax.Array:
    """Returns where a pixel of the result comes from, `[B, 3, 3]` on (x, y, 1): pixels from the centre, y downwards."""

    def get(name: str) -> jax.Array:
        operation = _OPERATIONS[name]
        return parameters.get(name, jnp.full((batch, *operation.shape), operation.rest))

    def scaling(x: jax.Array, y: jax.Array | float) -> jax.Array:
        return _matrices([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])

    def rotation(angle: jax.Array) -> jax.Array:
        c, s = jnp.cos(angle), jnp.sin(angle)
        return _matrices([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def shift(pixels: jax.Array) -> jax.Array:
        return _matrices([[1.0, 0.0, -pixels[:, 0]], [0.0, 1.0, -pixels[:, 1]], [0.0, 0.0, 1.0]])

    sides = jnp.asarray([[width, height]], jnp.float32)
    scale, stretch = get("scale"), get("aniso")
    steps = [
        scaling(1 - 2 * get("xflip"), 1.0),
        rotation(get("rotate90") * (math.pi / 2)),
        shift(jnp.round(get("xint") * sides)),
        scaling(1 / scale, 1 / scale),
        rotation(get("rotate")),
        scaling(1 / stretch, stretch),
        rotation(get("rotate_after")),
        shift(get("xfrac") * sides),
    ]
    return functools.reduce(jnp.matmul, steps)


def _matrices(rows: list[list[jax.Array | float]]) -> jax.Array:
    """A matrix for each image, of entries `[B]` or numbers, `[B, len(rows), len(rows[0])]`."""
    entries = jnp.broadcast_arrays(*(jnp.asarray(entry) for row in rows for entry in row))
    return jnp.stack(entries, axis=-1).reshape(-1, len(rows), len(rows[0]))


def _enlarging(size: int, dtype: jnp.dtype) -> jax.Array:
    """Reflects a line by all but its last pixel at each end and enlarges it twice: `[6 size - 1, size]`, zeros at its ends."""
    padded = np.pad(np.eye(size), ((size - 1, size - 1), (0, 0)), mode="reflect")
    spread = np.zeros((2 * len(padded), size))
    spread[::2] = padded
    filtered = np.stack([np.convolve(column, 2 * _SYM6) for column in spread.T], axis=1)
    return jnp.asarray(np.pad(filtered[5 : 5 + len(spread)], ((1, 2), (0, 0))), dtype)


def _shrinking(size: int, dtype: jnp.dtype) -> jax.Array:
    """Filters by the mirror image, keeps every second pixel and cuts off the margins: `[size, 2 (size + 2 margins)]`."""
    matrix = np.zeros((size, 2 * (size + 2 * _MARGIN)))
    for i in range(size):
        matrix[i, 2 * i + 1 : 2 * i + 1 + len(_SYM6)] = _SYM6
    return jnp.asarray(matrix, dtype)


# ----------------------------------------------------------------------------------------------- colours, frequencies, box


def _recoloured(images: Images, parameters: dict[str, jax.Array]) -> Images:
    """One affine map of colours, composed of the operations in order. A grey image keeps its hue and has no saturation."""
    batch, dtype = images.shape[0], images.dtype
    grey = jnp.full((1, 3, 3), 1 / 3, dtype)  # projects onto the axis of greys, along which luma changes
    rest = jnp.eye(3, dtype=dtype)[None] - grey
    turn = jnp.asarray([[[0, -1, 1], [1, 0, -1], [-1, 1, 0]]], dtype) / math.sqrt(3)  # vector product with that axis
    each = {name: value[:, None, None] for name, value in parameters.items() if name in _COLORS}

    color = jnp.broadcast_to(jnp.eye(3, 4, dtype=dtype)[None], (batch, 3, 4))
    if "brightness" in each:
        color = color.at[:, :, 3:].add(each["brightness"])
    if "contrast" in each:
        color = color * each["contrast"]
    if "lumaflip" in each:
        color = (rest + grey * (1 - 2 * each["lumaflip"])) @ color
    if "hue" in each and images.shape[3] == 3:
        color = (grey + rest * jnp.cos(each["hue"]) + turn * jnp.sin(each["hue"])) @ color
    if "saturation" in each and images.shape[3] == 3:
        color = (grey + rest * each["saturation"]) @ color
    if images.shape[3] == 1:
        color = color.mean(axis=1, keepdims=True)
        color = jnp.concatenate([color[..., :3].sum(axis=2, keepdims=True), color[..., 3:]], axis=2)
    shift = color[:, None, None, :, -1]
    return jnp.einsum("bhwi,boi->bhwo", images, color[..., :-1]) + shift


# A half-band filter, the autocorrelation of the wavelet sym2: it and what it leaves add up to 1.
_HALF = np.array([-1, 0, 9, 16, 9, 0, -1]) / 32
_POWER = np.array([10, 1, 1, 1]) / 13  # of natural images, which fall off as one over the frequency, expected in the bands


def _bands() -> np.ndarray:
    """Filters of four octaves, lowest first, that add up to 1: `[4, 43]`."""

    def spread(factor: int) -> np.ndarray:
        taps = np.zeros(factor * (len(_HALF) - 1) + 1)
        taps[::factor] = _HALF
        return taps

    bands: list[np.ndarray] = []
    passed = np.ones(1)
    for factor in (1, 2, 4):
        half = spread(factor)
        other = -half
        other[len(half) // 2] += 1
        bands.insert(0, np.convolve(passed, other))
        passed = np.convolve(passed, half)
    bands.insert(0, passed)
    return np.stack([np.pad(band, (len(passed) - len(band)) // 2) for band in bands])


def _filtered(images: Images, amplitudes: jax.Array) -> Images:
    """Amplifies each band by `[B, 4]`, one after the other, the expected power kept; the same along both axes."""
    power = jnp.asarray(_POWER, images.dtype)[None]
    gains = jnp.ones_like(amplitudes)
    for band in range(4):
        gain = jnp.ones_like(amplitudes).at[:, band].set(amplitudes[:, band])
        gains = gains * gain / jnp.sqrt((power * gain**2).sum(axis=1, keepdims=True))

    def along(size: int) -> jax.Array:
        """The filter of each image as a matrix, a line's reflections folded in."""
        bands = _bands()
        reach = bands.shape[1] // 2
        reflected = np.pad(np.eye(size), ((reach, reach), (0, 0)), mode="reflect")
        matrices = np.stack([sum(tap * reflected[k : k + size] for k, tap in enumerate(band)) for band in bands])
        return jnp.einsum("bf,fij->bij", gains, jnp.asarray(matrices, images.dtype))

    x = jnp.einsum("bxj,bijc->bixc", along(images.shape[2]), images)
    return jnp.einsum("byi,bixc->byxc", along(images.shape[1]), x)


def _in_box(centre: jax.Array, images: Images) -> jax.Array:
    """Returns which pixels lie in boxes of half of each side about centres `[B, 2]`, (x, y) in sides: `[B, H, W, 1]` bool."""
    _, height, width, _ = images.shape
    x = (jnp.arange(width, dtype=centre.dtype) + 0.5) / width
    y = (jnp.arange(height, dtype=centre.dtype) + 0.5) / height
    columns = jnp.abs(x[None, :] - centre[:, :1]) < 0.25
    rows = jnp.abs(y[None, :] - centre[:, 1:]) < 0.25
    return rows[:, :, None, None] & columns[:, None, :, None]


def _multiplier(pipe: Pipe, name: str) -> float:
    return float(pipe._asdict()["rotate" if name == "rotate_after" else name])


def _precise(images: Images) -> jnp.dtype:
    return jnp.promote_types(images.dtype, jnp.float32)
