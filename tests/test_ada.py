"""The pipe of StyleGAN2-ADA: the reference's numbers, its resampling by hand in numpy, the draws, and what gradients do.

`goldens/ada_debug.npz` and `ada_drawn.npz` hold what the reference computed in float32 of images `in`, every fifth pixel:
with every draw at one percentile and all gates open, and with draws that are recorded in their order.
"""

import functools
import statistics
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.core import ada
from jaxgan.core.ada import PIPES, Draws, Pipe

KEY = jax.random.key(5)
NORMAL = ("scale", "aniso", "xfrac", "brightness", "contrast", "saturation", "imgfilter", "noise")
WIDE = {"xint": (2,), "xfrac": (2,), "cutout": (2,), "imgfilter": (4,)}

draw = jax.jit(ada.draw, static_argnums=(1, 2))
apply = jax.jit(ada.apply, static_argnums=0)
augment = jax.jit(lambda pipe, key, images, strength: ada.ada(pipe)(key, images, strength), static_argnums=0)


def images_of(shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def operations(pipe):
    """What is drawn for, in order."""
    names = [name for name, multiplier in pipe._asdict().items() if multiplier]
    if "rotate" in names:
        names.insert(names.index("aniso") + 1 if "aniso" in names else names.index("rotate") + 1, "rotate_after")
    return names


# --------------------------------------------------------------------------------------------------- the reference's numbers


def load(name):
    with np.load(Path(__file__).parent / "goldens" / name, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def goldens():
    return load("ada_debug.npz") | load("ada_drawn.npz")


def at_percentile(q, pipe, count):
    """The reference's draws for looking at one percentile: normal ones without the factor sqrt 2, one rotation only."""
    values, gates = {}, {}
    for name in operations(pipe):
        value = statistics.NormalDist().inv_cdf(q) / np.sqrt(2) if name in NORMAL else 0.5 if name == "rotate_after" else q
        values[name] = np.full((count, *WIDE.get(name, ())), value, np.float32)
        gates[name] = np.zeros((count, 4) if name == "imgfilter" else count, np.float32)
    return Draws(values, gates)


def recorded(prefix, goldens, pipe):
    """The reference draws value and gate by turns, of cutout the gate first, of the filter band by band."""
    numbers = [goldens[key] for key in sorted(goldens) if key.startswith(f"{prefix}/draw/")]
    drawn = iter(number.reshape(4, *number.shape[1:2] * (number.size == 8)) for number in numbers)
    values, gates = {}, {}
    for name in operations(pipe):
        if name == "imgfilter":
            pairs = [(next(drawn), next(drawn)) for _ in range(4)]
            values[name], gates[name] = (np.stack(column, axis=1) for column in zip(*pairs, strict=True))
        elif name == "cutout":
            gates[name], values[name] = next(drawn), next(drawn)
        else:
            values[name], gates[name] = next(drawn), next(drawn).reshape(4)
    assert next(drawn, None) is None
    return Draws(values, gates)


PIPES_OF_GOLDENS = {name: Pipe(**{name: 1.0}) for name in Pipe._fields if name != "noise"}
PIPES_OF_GOLDENS |= {
    "bgc": PIPES["bgc"],
    "bgcfc": PIPES["bgc"]._replace(imgfilter=1.0, cutout=1.0),
    "r3gan": PIPES["r3gan"],
}


@pytest.mark.parametrize("name", PIPES_OF_GOLDENS)
def test_the_references_numbers(name, goldens):
    pipe, seen = PIPES_OF_GOLDENS[name], 0
    for key in (key for key in goldens if key.endswith(f"/{name}")):
        number = float(key.split("/")[0].lstrip("debugrawn_p"))
        debug = key.startswith("debug")
        draws = at_percentile(number, pipe, 4) if debug else recorded(key, goldens, pipe)
        found = np.asarray(apply(pipe, draws, goldens["in"], 1.0 if debug else number))
        assert found.dtype == np.float32
        expected = goldens[key]
        found = found.reshape(4, -1, 3)[: len(expected), ::5]
        # The reference's coordinates are float32: against numbers in float64 its errors are as large.
        largest = np.abs(found - expected).max() / np.abs(expected).max()
        assert largest < (1e-5 if set(operations(pipe)) & set(GEOMETRY) else 1e-6), key
        seen += 1
    assert seen == (4 if name in ("bgc", "bgcfc", "r3gan", "cutout", "imgfilter") else 2)


GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "rotate_after", "xfrac")


# ---------------------------------------------------------------------------------------------------- resampling, by hand

SYM6 = np.array(
    [
        [0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633],
        [0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252],
        [-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148],
    ]
).ravel()


def affine(a, b, x, c, d, y):
    return np.array([[a, b, x], [c, d, y], [0, 0, 1]], np.float64)


def rotation(angle):
    return affine(np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0)


def resampled_by_hand(image, inverse):
    """Pads by reflection, inserts zeros, filters, looks at four neighbours, filters, drops every second pixel."""
    height, width, channels = image.shape
    padded = np.pad(image, ((height - 1,) * 2, (width - 1,) * 2, (0, 0)), mode="reflect")
    enlarged = np.zeros((2 * padded.shape[0] + 11, 2 * padded.shape[1] + 11, channels))
    enlarged[6:-5:2, 6:-5:2] = padded
    taps = SYM6 / SYM6.sum()
    for axis in (0, 1):
        enlarged = np.apply_along_axis(np.convolve, axis, enlarged, 2 * taps, "valid")
    doubled, half = affine(2, 0, 0, 0, 2, 0), affine(1, 0, 0.5, 0, 1, 0.5)
    matrix = np.linalg.inv(half) @ doubled @ inverse @ np.linalg.inv(doubled) @ half
    sampled = np.zeros((2 * height + 12, 2 * width + 12, channels))
    for r, c in np.ndindex(*sampled.shape[:2]):
        x, y, _ = matrix @ [c + 0.5 - sampled.shape[1] / 2, r + 0.5 - sampled.shape[0] / 2, 1]
        x, y = x + enlarged.shape[1] / 2 - 0.5, y + enlarged.shape[0] / 2 - 0.5
        for i in (int(np.floor(y)), int(np.floor(y)) + 1):
            for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= i < enlarged.shape[0] and 0 <= j < enlarged.shape[1]:
                    sampled[r, c] += (1 - abs(y - i)) * (1 - abs(x - j)) * enlarged[i, j]
    sampled = sampled[1:-1, 1:-1]
    for axis in (0, 1):
        sampled = np.apply_along_axis(np.convolve, axis, sampled, taps[::-1], "valid")
    return sampled[::2, ::2]


@pytest.mark.parametrize("shape", [(9, 13, 2), (1, 4, 1)], ids=str)
def test_geometry_is_one_resampling(shape):
    """In float64, sides of their own, and transformations that look far beyond the reflections, where there are zeros."""
    height, width, _ = shape
    rng = np.random.default_rng(1)
    pipe, count = PIPES["bg"], 4
    draws = draw(KEY, pipe, (count, *shape))
    values = {name: np.asarray(value, np.float64) for name, value in draws.values.items()}
    values["scale"] = np.array([0.3, -12.0, 2.0, -0.5])  # the second shrinks 5 times
    gates = {name: np.zeros(count) for name in draws.gates}
    images = rng.uniform(-1, 1, (count, *shape))
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(ada.apply, static_argnums=0)(pipe, Draws(values, gates), images, 1.0))
    assert found.dtype == np.float64
    for i in range(count):
        u = {name: value[i] for name, value in values.items()}
        whole = np.round((2 * u["xint"] - 1) / 8 * [width, height])
        part = u["xfrac"] / 8 * [width, height]
        scale, stretch = 2 ** (u["scale"] / 5), 2 ** (u["aniso"] / 5)
        inverse = affine(1 - 2 * np.floor(2 * u["xflip"]), 0, 0, 0, 1, 0)
        inverse = inverse @ rotation(np.floor(4 * u["rotate90"]) * np.pi / 2) @ affine(1, 0, -whole[0], 0, 1, -whole[1])
        inverse = inverse @ affine(1 / scale, 0, 0, 0, 1 / scale, 0) @ rotation((2 * u["rotate"] - 1) * np.pi)
        inverse = inverse @ affine(1 / stretch, 0, 0, 0, stretch, 0) @ rotation((2 * u["rotate_after"] - 1) * np.pi)
        inverse = inverse @ affine(1, 0, -part[0], 0, 1, -part[1])
        np.testing.assert_allclose(found[i], resampled_by_hand(images[i], inverse), rtol=0, atol=1e-11)
    assert (found[1] == 0).any() == (height > 1)  # a line of 4 pixels is shorter than the filter
    assert (found[0] != 0).all()


def test_directions():
    """Smooth images, that the filter, which is not quite symmetric, leaves as they are: a mirror, quarter turns, shifts."""
    row, column = np.indices((16, 16))[:, None, :, :, None] / 15
    images = np.repeat(np.sin(np.pi * (row - 0.5)) + 0.5 * np.sin(np.pi * (column - 0.5)) + 0.3 * row * column, 4, axis=0)

    def one(name, value):
        draws = Draws({name: np.float32(value)}, {name: np.zeros(4, np.float32)})
        return np.asarray(apply(Pipe(**{name: 1.0}), draws, images.astype(np.float32), 1.0))

    np.testing.assert_allclose(one("xflip", [0.6] * 4), images[:, :, ::-1], atol=0.02)
    turned = one("rotate90", [0.1, 0.3, 0.6, 0.8])
    for i in range(4):
        np.testing.assert_allclose(turned[i], np.rot90(images[i], i), atol=0.05)
    shifted = one("xint", [[1.0, 0.75]] * 4)  # two pixels to the right and one down, exactly
    np.testing.assert_allclose(shifted[:, 1:, 2:], images[:, :-1, :-2], atol=2e-5)
    np.testing.assert_allclose(shifted[:, 0, 2:], images[:, 1, :-2], atol=2e-5)
    np.testing.assert_allclose(shifted[:, 1:, 0], images[:, :-1, 2], atol=2e-5)


# ---------------------------------------------------------------------------------------- colours, frequencies, noise, box


def test_one_channel_is_a_grey_image():
    """Brightness, contrast and luma act as on three equal channels; hue and saturation leave greys alone."""
    images = images_of((8, 4, 4, 1))
    draws = draw(KEY, PIPES["color"], images.shape)
    found = apply(PIPES["color"], draws, images, 1.0)
    np.testing.assert_allclose(found, apply(PIPES["color"], draws, images.repeat(3, 3), 1.0)[..., :1], atol=1e-5)
    assert np.abs(found - images).max() > 0.1


def test_noise_is_added():
    pipe, images = Pipe(noise=1.0), images_of((3, 4, 5, 2))
    values = {"noise": np.float32([-2.0, 1.0, 3.0]), "noise_field": images_of(images.shape, 1)}
    found = apply(pipe, Draws(values, {"noise": np.float32([0.1, 0.1, 0.9])}), images, 0.5)
    sigma = np.float32([0.2, 0.1, 0.0]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(found, images + sigma * values["noise_field"], atol=1e-6)


def test_cutout_hides_half_of_each_side():
    pipe, ones = Pipe(cutout=1.0), np.ones((3, 8, 12, 2), np.float32)
    centres, gates = np.float32([[0.5, 0.5], [0.0, 0.75], [0.5, 0.5]]), np.float32([0.1, 0.1, 0.9])
    expected = ones.copy()
    expected[0, 2:6, 3:9] = 0
    expected[1, 4:8, 0:3] = 0
    np.testing.assert_array_equal(apply(pipe, Draws({"cutout": centres}, {"cutout": gates}), ones, 0.5), expected)


def test_the_filter_amplifies_a_band_by_its_factor():
    """The mean is of the lowest band, the chessboard of the highest; the power expected of natural images is kept."""
    chessboard = np.indices((8, 8)).sum(0).reshape(1, 8, 8, 1) % 2 * 2.0 - 1.0
    images = np.concatenate([np.ones((1, 8, 8, 1)), chessboard]).astype(np.float32)
    pipe, factors = Pipe(imgfilter=1.0), np.log2([[3.0, 1.0, 1.0, 1.0]] * 2).astype(np.float32)
    found = apply(pipe, Draws({"imgfilter": factors}, {"imgfilter": np.zeros((2, 4), np.float32)}), images, 1.0)
    kept = np.sqrt((10 * 9 + 3) / 13)
    np.testing.assert_allclose(found[0], images[0] * 9 / kept**2, atol=1e-5)  # along both axes, so twice
    np.testing.assert_allclose(found[1], images[1] / kept**2, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------- draws


def test_draws_are_uniform_and_normal_and_independent():
    n = 4_000
    draws = draw(KEY, PIPES["bgcfnc"], (n, 1, 1, 3))
    assert set(draws.values) == {*operations(PIPES["bgcfnc"]), "noise_field"}
    assert {name: value.shape for name, value in draws.values.items() if name != "noise_field"} == {
        name: (n, *WIDE.get(name, ())) for name in draws.gates
    }
    columns = []
    for name, value in draws.values.items():
        value = np.asarray(value, np.float64).reshape(n, -1)
        mean, deviation = (0.0, 1.0) if name in NORMAL or name == "noise_field" else (0.5, np.sqrt(1 / 12))
        assert np.abs(value.mean(0) - mean).max() < 5 * deviation / np.sqrt(n), name
        np.testing.assert_allclose(value.std(0), deviation, rtol=0.06, err_msg=name)
        columns += list(value.T)
    for gate in draws.gates.values():
        assert gate.min() >= 0
        assert gate.max() < 1
        columns += list(np.asarray(gate).reshape(n, -1).T)
    assert len(columns) == 22 + 3 + 19
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 6 / np.sqrt(n)


def test_draws_of_one_operation_do_not_depend_on_the_others():
    alone = draw(KEY, Pipe(hue=0.5), (4, 2, 2, 3))
    among = draw(KEY, PIPES["bgcfnc"], (4, 2, 2, 3))
    assert set(alone.values) == set(alone.gates) == {"hue"}
    np.testing.assert_array_equal(alone.values["hue"], among.values["hue"])
    np.testing.assert_array_equal(alone.gates["hue"], among.gates["hue"])


@pytest.mark.parametrize(
    ("pipe", "share"),
    [
        (Pipe(brightness=1.0), 0.3),
        (Pipe(contrast=0.5), 0.15),
        (Pipe(rotate=1.0), 0.3),  # by either rotation
        (Pipe(scale=3.0), 0.9),
        (Pipe(imgfilter=1.0), 1 - 0.7**4),  # of any band
        (Pipe(noise=1.0, cutout=1.0), 1 - 0.7**2),
        (Pipe(saturation=4.0), 1.0),  # never more than always
    ],
    ids=str,
)
def test_strength_is_the_probability_of_each_operation_for_each_image(pipe, share):
    n = 2_000
    images = images_of((n, 4, 4, 3))
    changed = (np.asarray(augment(pipe, KEY, images, jnp.float32(0.3))) != images).any((1, 2, 3))
    assert abs(changed.mean() - share) <= 5 * np.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("shape", [(8, 6, 6, 3), (8, 5, 9, 1), (8, 1, 1, 3)], ids=str)
def test_strength_zero_is_the_identity_bit_for_bit(shape):
    images = images_of(shape)
    np.testing.assert_array_equal(augment("bgcfnc", KEY, images, 0.0), images)
    changed = np.asarray(augment("bgcfnc", KEY, images, 1.0))
    assert np.isfinite(changed).all()
    assert not (changed == images).all((1, 2, 3)).any()


def test_the_pipes():
    assert PIPES["bgcfnc"] == Pipe(*[1] * len(Pipe._fields))
    assert PIPES["r3gan"] == Pipe(1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, cutout=1)
    for names, whole in ((("blit", "geom"), "bg"), (("bg", "color"), "bgc"), (("bgc", "filter"), "bgcf")):
        assert tuple(map(sum, zip(*(PIPES[name] for name in names), strict=True))) == PIPES[whole]
    images = images_of((4, 6, 6, 3))
    np.testing.assert_array_equal(augment("cutout", KEY, images, 1.0), augment(Pipe(cutout=1.0), KEY, images, 1.0))


# --------------------------------------------------------------------------------------------------------------- gradients


def test_gradients():
    """A pipe is affine: differences are exact but for rounding, and the vjp is the transpose, twice."""
    shape = (4, 6, 8, 3)
    x, change, cotangent = (images_of(shape, seed) for seed in range(3))
    f = functools.partial(ada.ada("bgcfnc"), KEY, strength=0.8)

    @jax.jit
    def derivatives(x, change, cotangent):
        y, vjp = jax.vjp(f, x)
        moved = f(x + change) - y
        second = jax.jvp(jax.grad(lambda x: jnp.sum(f(x) ** 2)), (x,), (change,))[1]
        return moved, vjp(cotangent)[0], vjp(moved)[0], second

    moved, back, moved_back, second = derivatives(x, change, cotangent)
    for i in range(4):  # each image for itself
        slope = np.vdot(cotangent[i], moved[i])
        assert np.vdot(back[i], change[i]) == pytest.approx(slope, rel=1e-3)
        assert abs(slope) > 0.01
    np.testing.assert_allclose(second, 2 * moved_back, rtol=0, atol=1e-4 * np.abs(second).max())


def test_a_penalty_behind_the_pipe_has_a_gradient():
    """Of the squared norm of D's gradient at the images that are not augmented, in D's parameters: against differences."""
    x, w, direction = (images_of((4, 6, 6, 1), seed)[: 4 if seed == 0 else 1] for seed in range(3))

    def penalty(w):
        def critic(x):
            return jnp.sum(jnp.tanh((w * ada.ada("bgc")(KEY, x, 1.0)).sum((1, 2, 3))))

        return jnp.sum(jax.grad(critic)(x) ** 2)

    gradient, above, below = jax.jit(
        lambda w: (jax.grad(penalty)(w), penalty(w + 5e-3 * direction), penalty(w - 5e-3 * direction))
    )(w)
    assert np.isfinite(gradient).all()
    assert np.vdot(gradient, direction) == pytest.approx(float(above - below) / 1e-2, rel=1e-2)


# ------------------------------------------------------------------------------------------------------ under transformations


def test_a_traced_strength_compiles_once_and_side_by_side():
    """Under vmap over keys, images and strengths each is what it is alone."""
    traces = []

    def counted(key, images, strength):
        traces.append(strength)
        return ada.ada("bgcfnc")(key, images, strength)

    images, keys, strengths = images_of((3, 2, 6, 6, 3)), jax.random.split(KEY, 3), jnp.array([0.0, 0.5, 1.0])
    one, many = jax.jit(counted), jax.jit(jax.vmap(ada.ada("bgcfnc")))
    alone = [np.asarray(one(keys[i], images[i], strengths[i])) for i in range(3)]
    assert len(traces) == 1
    np.testing.assert_allclose(many(keys, images, strengths), alone, atol=2e-5)
    np.testing.assert_array_equal(alone[0], images[0])
    assert np.abs(alone[2] - images[2]).max() > 0.1


def test_a_batch_over_two_devices_stays_where_it_is():
    mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
    apart = NamedSharding(mesh, PartitionSpec("data"))
    images = images_of((4, 6, 6, 3))

    def there_and_back(key, images):
        y, vjp = jax.vjp(lambda x: ada.ada("bgcfnc")(key, x, 1.0), images)
        return y, vjp(y)[0]

    compiled = jax.jit(there_and_back).lower(KEY, jax.device_put(images, apart)).compile()
    for each in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert each not in compiled.as_text()
    for both, one in zip(compiled(KEY, jax.device_put(images, apart)), jax.jit(there_and_back)(KEY, images), strict=True):
        assert both.sharding.is_equivalent_to(apart, 4)
        np.testing.assert_allclose(both, one, atol=5e-5)


def test_half_precision_stays():
    images = jnp.asarray(images_of((4, 6, 6, 3)), jnp.bfloat16)
    pipe = Pipe(xfrac=1.0, hue=1.0, noise=1.0)
    found = augment(pipe, KEY, images, 1.0)
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(augment(pipe, KEY, images.astype(jnp.float32), 1.0))
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8, atol=1e-4)


# ------------------------------------------------------------------------------------------------------- adaptive strength


def test_adapt():
    assert ada.adapt(0.5, 0.7, images=64, length=640) == pytest.approx(0.6)
    assert ada.adapt(0.5, 0.5, images=64, length=640) == pytest.approx(0.4)
    assert ada.adapt(0.5, 0.6, images=64, length=640) == pytest.approx(0.5)
    assert ada.adapt(0.5, 0.7, images=64, length=640, target=0.8) == pytest.approx(0.4)
    assert ada.adapt(0.5, 0.9, images=500) == pytest.approx(0.501)
    assert ada.adapt(0.05, -1.0, images=64, length=640) == 0.0
    assert ada.adapt(0.95, 1.0, images=64, length=640) == 1.0


def test_adaptive_follows_d():
    adaptive = ada.adaptive(target=0.4, length=100)
    memory = adaptive.init()
    assert adaptive.value(memory) == 0.0
    memory = jax.jit(adaptive.update, static_argnums=2)(memory, jnp.float32(0.6), 10)
    assert adaptive.value(memory) == pytest.approx(0.1)
    memory = adaptive.update(memory, jnp.float32(0.2), 4)
    assert adaptive.value(memory) == pytest.approx(0.06)
    assert adaptive.value(adaptive.update(memory, jnp.float32(0.6), 4)) == pytest.approx(0.1)


# -------------------------------------------------------------------------------------------------------------- bad input


def test_an_odd_pipe_is_refused():
    with pytest.raises(ValueError, match=f"^pipe: 'bgcx' is not one of {', '.join(PIPES)}; did you mean 'bgc"):
        ada.ada("bgcx")
    with pytest.raises(ValueError, match=r"^pipe.hue: -0.5, but a multiplier of a probability must be finite and at least 0$"):
        ada.ada(Pipe(hue=-0.5))
    with pytest.raises(ValueError, match=r"^pipe.scale: nan, but"):
        ada.ada(Pipe(scale=float("nan")))


@pytest.mark.parametrize(
    ("images", "strength", "message"),
    [
        (np.zeros((4, 2), np.float32), 1.0, r"^images: shape \(4, 2\), but augmentations need \[B, H, W, C\]; points cannot"),
        (np.zeros((4, 8, 8, 3), np.uint8), 1.0, r"^images: uint8, but augmentations need floating point in \[-1, 1\]$"),
        (np.zeros((4, 8, 8, 3), np.float32), 1.5, r"^strength: 1.5, but it is a probability and must be in \[0, 1\]$"),
        (np.zeros((4, 8, 8, 3), np.float32), float("nan"), r"^strength: nan, but it is a probability"),
        (np.zeros((4, 8, 8, 2), np.float32), 1.0, r"^images: 2 channels, but brightness needs 1 or 3 of them$"),
    ],
)
def test_odd_arguments_are_refused_in_one_line(images, strength, message):
    with pytest.raises(ValueError, match=message):
        ada.ada("bgc")(KEY, images, strength)


@pytest.mark.parametrize("arguments", [{"target": 1.0}, {"target": float("nan")}, {"length": 0}], ids=str)
def test_an_odd_adaptation_is_refused(arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))}: "):
        ada.adaptive(**arguments)
