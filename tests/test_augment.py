"""Augmentations: each operation against loops in numpy and the reference's numbers, the draws, and a step of training."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.core import augment, losses, penalties
from jaxgan.core.gan import make_gan
from jaxgan.core.types import Network

KEY = jax.random.key(3)
SHAPES = [(4, 8, 8, 3), (3, 9, 9, 1), (2, 20, 27, 3), (2, 5, 12, 2), (2, 1, 1, 3)]  # N, H, W, C
COLOR = (augment.brightness, augment.saturation, augment.contrast)
MOVES = (augment.translation, augment.cutout)


def images_of(shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- by hand, in loops


def brightness_by_hand(image, u):
    return image + (u - 0.5)


def saturation_by_hand(image, u):
    out = np.empty_like(image)
    for r, c in np.ndindex(image.shape[:2]):
        grey = image[r, c].sum() / image.shape[2]
        out[r, c] = (image[r, c] - grey) * (2 * u) + grey
    return out


def contrast_by_hand(image, u):
    mean = image.sum() / image.size
    return (image - mean) * (u + 0.5) + mean


def translation_by_hand(image, row, column):
    out = np.zeros_like(image)
    for r, c in np.ndindex(image.shape[:2]):
        if 0 <= r + row < image.shape[0] and 0 <= c + column < image.shape[1]:
            out[r, c] = image[r + row, c + column]
    return out


def cutout_by_hand(image, row, column):
    out = image.copy()
    sides = [int(size / 2 + 0.5) for size in image.shape[:2]]
    for i, j in np.ndindex(*sides):
        r, c = row - sides[0] // 2 + i, column - sides[1] // 2 + j
        out[min(max(r, 0), image.shape[0] - 1), min(max(c, 0), image.shape[1] - 1)] = 0
    return out


BY_HAND = {
    augment.brightness: brightness_by_hand,
    augment.saturation: saturation_by_hand,
    augment.contrast: contrast_by_hand,
    augment.translation: translation_by_hand,
    augment.cutout: cutout_by_hand,
}


def every_draw(op, shape):
    """Draws for an operation on images of this shape: all pairs of integers, or numbers from end to end."""
    if op in COLOR:
        return [(u,) for u in (0.0, 0.2, 0.5, 0.9, 1 - 2**-24)]
    if op is augment.translation:
        ranges = [range(-int(n / 8 + 0.5), int(n / 8 + 0.5) + 1) for n in shape[1:3]]
    else:
        ranges = [range(n + 1 - int(n / 2 + 0.5) % 2) for n in shape[1:3]]
    return list(itertools.product(*ranges))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("op", BY_HAND, ids=lambda op: op.__name__)
def test_an_operation_is_the_loop_over_pixels(op, shape):
    draws = every_draw(op, shape)
    images = images_of((len(draws), *shape[1:]))
    columns = [jnp.asarray(np.array(column)) for column in zip(*draws, strict=True)]
    found = jax.jit(op)(images, *columns)
    expected = [BY_HAND[op](image.astype(np.float64), *draw) for image, draw in zip(images, draws, strict=True)]
    assert found.dtype == jnp.float32
    exact = {"rtol": 0, "atol": 0} if op in MOVES else {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(found, np.array(expected, np.float32), **exact)


def test_draws_that_change_nothing():
    images, half, zero = images_of(SHAPES[0]), jnp.full(4, 0.5), jnp.zeros(4, jnp.int32)
    np.testing.assert_array_equal(augment.brightness(images, half), images)
    np.testing.assert_array_equal(augment.translation(images, zero, zero), images)
    for op in (augment.saturation, augment.contrast):
        np.testing.assert_allclose(op(images, half), images, atol=1e-6)
    one_channel = images_of(SHAPES[1])
    np.testing.assert_allclose(augment.saturation(one_channel, jnp.array([0.0, 0.3, 0.9])), one_channel, atol=1e-6)
    np.testing.assert_allclose(np.ptp(augment.saturation(images, 0 * half), axis=3), 0, atol=1e-6)  # grey


def test_positive_translation_moves_up_and_left_and_brings_zeros():
    images = 1.0 + np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    moved = augment.translation(images, jnp.array([1, -1]), jnp.array([1, 0]))
    np.testing.assert_array_equal(moved[0, :3, :3], images[0, 1:, 1:])
    np.testing.assert_array_equal(moved[1, 1:], images[1, :3])
    assert not np.any(moved[0, 3])
    assert not np.any(moved[0, :, 3])
    assert not np.any(moved[1, 0])


def test_a_box_that_sticks_out_holds_the_border():
    ones = np.ones((3, 8, 8, 1), np.float32)
    hidden = 1 - np.asarray(augment.cutout(ones, jnp.array([0, 4, 8]), jnp.array([0, 4, 8])))[..., 0]
    np.testing.assert_array_equal(hidden.sum((1, 2)), [2 * 2, 4 * 4, 2 * 2])  # half a box in each axis at the ends
    assert hidden[0, :2, :2].all()
    assert hidden[1, 2:6, 2:6].all()
    assert hidden[2, 6:, 6:].all()


# --------------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("op", BY_HAND, ids=lambda op: op.__name__)
def test_gradients(op):
    """An operation is affine: differences are exact but for rounding, and the vjp is the transpose."""
    shape = SHAPES[3]
    draws = [every_draw(op, shape)[-1], every_draw(op, shape)[0]]
    columns = [jnp.asarray(np.array(column)) for column in zip(*draws, strict=True)]
    x, change, cotangent = (images_of(shape, seed) for seed in range(3))

    @jax.jit
    def derivatives(x, change, cotangent):
        y, vjp = jax.vjp(lambda x: op(x, *columns), x)
        moved = op(x + change, *columns) - y
        second = jax.jvp(jax.grad(lambda x: jnp.sum(op(x, *columns) ** 2)), (x,), (change,))[1]
        return moved, vjp(cotangent)[0], vjp(moved)[0], second

    moved, back, moved_back, second = derivatives(x, change, cotangent)
    slope = np.vdot(cotangent, moved)
    assert np.vdot(back, change) == pytest.approx(slope, rel=1e-4)
    assert abs(slope) > 0.01
    np.testing.assert_allclose(second, 2 * moved_back, rtol=1e-4, atol=1e-4)  # of |A x + b|^2 it is 2 A' A times the change


def test_r1_through_colour_by_hand():
    """The matrix of the three operations, column by column in numpy; the gradient of `w y^2 / 2` behind them is A' w y."""
    shape, u = (2, 2, 3, 3), np.array([[0.1, 0.7], [0.9, 0.3], [0.8, 0.05]], np.float32)
    x, w = images_of(shape), images_of(shape[1:], 1).astype(np.float64)

    def by_hand(image, i):
        for op, draw in zip(COLOR, u[:, i].astype(np.float64), strict=True):
            image = BY_HAND[op](image, draw)
        return image

    expected = []
    for i in range(2):
        start, basis = by_hand(np.zeros(shape[1:]), i), np.eye(w.size).reshape(-1, *shape[1:])
        matrix = np.stack([(by_hand(e, i) - start).ravel() for e in basis], axis=1)
        expected.append(0.5 * np.sum((matrix.T @ (w * by_hand(x[i].astype(np.float64), i)).ravel()) ** 2))

    def critic(x):
        for op, draw in zip(COLOR, jnp.asarray(u), strict=True):
            x = op(x, draw)
        return 0.5 * (jnp.asarray(w, jnp.float32)[None] * x**2).sum((1, 2, 3))

    np.testing.assert_allclose(jax.jit(lambda x: penalties.r1(critic, x, x, KEY))(x), expected, rtol=1e-5)


# --------------------------------------------------------------------------------------------------- the reference's numbers

GOLDENS = next(Path(__file__).parents[2].glob("*/goldens/diffaugment.npz"), None)
POLICIES = {
    "rand_brightness": COLOR[:1],
    "rand_saturation": COLOR[1:2],
    "rand_contrast": COLOR[2:],
    "rand_translation": MOVES[:1],
    "rand_cutout": MOVES[1:],
    "color,translation,cutout": COLOR + MOVES,
    "translation,color": MOVES[:1] + COLOR,
}


@pytest.mark.skipif(GOLDENS is None, reason="diffaugment.npz is in no goldens folder beside the checkout")
@pytest.mark.parametrize("policy", POLICIES)
def test_the_references_numbers(policy):
    """Values and vector-Jacobian products with recorded draws, random, all lowest and all highest."""

    def apply(x, draws):
        draws = iter(draws)
        for op in POLICIES[policy]:
            x = op(x, *(next(draws) for _ in range(2 if op in MOVES else 1)))
        assert next(draws, None) is None
        return x

    @jax.jit
    def both(x, cotangent, draws):
        y, vjp = jax.vjp(lambda x: apply(x, draws), x)
        return y, vjp(cotangent)[0]

    seen = 0
    with np.load(GOLDENS, allow_pickle=False) as goldens:
        nhwc = lambda name: goldens[name].transpose(0, 2, 3, 1)  # noqa: E731
        for shape in sorted({name.split("/")[0] for name in goldens.files}):
            for mode in ("rnd", "lo", "hi"):
                prefix = f"{shape}/{mode}/{policy}"
                names = [name for name in goldens.files if name.startswith(f"{prefix}/draw")]
                draws = [goldens[name].reshape(-1) for name in sorted(names)]
                y, dx = both(nhwc(f"{shape}/x"), nhwc(f"{shape}/cotangent"), draws)
                np.testing.assert_allclose(y, nhwc(f"{prefix}/y"), rtol=0, atol=1e-6, err_msg=prefix)
                np.testing.assert_allclose(dx, nhwc(f"{prefix}/dx"), rtol=0, atol=4e-6, err_msg=prefix)
                seen += 1
    assert seen == 9


# --------------------------------------------------------------------------------------------------------------- the draws

apply = jax.jit(lambda policy, key, images, strength: augment.diff_augment(policy)(key, images, strength), static_argnums=0)


def assert_uniform(values, choices):
    """Each choice as often as the others, to 5 standard deviations of its count."""
    share, n = 1 / len(choices), len(values)
    assert set(np.unique(values)) == set(choices)
    for choice in choices:
        assert abs(np.mean(values == choice) - share) < 5 * np.sqrt(share * (1 - share) / n), choice


def test_shifts_are_uniform_and_independent():
    n, size = 4_000, 16
    image = 1.0 + np.arange(size * size, dtype=np.float32).reshape(size, size, 1)
    middle = np.asarray(apply("translation", KEY, np.stack([image] * n), 1.0))[:, 8, 8, 0].astype(int) - 1
    rows, columns = middle // size - 8, middle % size - 8
    assert_uniform(rows, range(-2, 3))
    assert_uniform(columns, range(-2, 3))
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("shape", [(8, 6), (9, 5)], ids=str)
def test_boxes_are_uniform_and_independent(shape):
    n, (height, width) = 4_000, shape
    seen = np.asarray(apply("cutout", KEY, np.ones((n, *shape, 2), np.float32), 1.0))
    assert (seen[..., 0] == seen[..., 1]).all()
    draws = every_draw(augment.cutout, (1, height, width, 1))
    boxes = {cutout_by_hand(np.ones((*shape, 1)), *draw).tobytes(): i for i, draw in enumerate(draws)}
    assert len(boxes) == len(draws)  # so that a box tells its draw
    found = np.array([boxes[image[..., :1].astype(np.float64).tobytes()] for image in seen])
    assert_uniform(found, range(len(draws)))


def test_colours_are_uniform_and_independent():
    n = 4_000
    image = images_of((4, 4, 3))
    y = np.asarray(apply("color", KEY, np.stack([image] * n), 1.0), np.float64)
    # Only brightness moves the mean, only contrast the greys, and both contrast and saturation the rest.
    u0 = y.mean((1, 2, 3)) - image.mean() + 0.5
    grey = y.mean(3)
    u2 = np.ptp(grey, axis=(1, 2)) / np.ptp(image.mean(2)) - 0.5
    u1 = np.abs(y - grey[..., None]).max((1, 2, 3)) / np.abs(image - image.mean(2, keepdims=True)).max() / (u2 + 0.5) / 2
    for u in (u0, u1, u2):
        share, _ = np.histogram(u, 4, (0, 1))
        assert share.sum() >= n - 3, "all in [0, 1) but for rounding"
        np.testing.assert_allclose(share / n, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / n))
    assert np.abs(np.corrcoef([u0, u1, u2]) - np.eye(3)).max() < 5 / np.sqrt(n)
    again = np.stack([image] * n)
    for op, u in zip(COLOR, (u0, u1, u2), strict=True):
        again = op(again, jnp.asarray(u, jnp.float32))
    np.testing.assert_allclose(again, y, atol=2e-5)


def test_strength_zero_is_the_identity_bit_for_bit():
    images = images_of((64, 8, 8, 3))
    np.testing.assert_array_equal(apply("color,translation,cutout", KEY, images, 0.0), images)


def test_strength_is_the_probability_of_each_part_for_each_image():
    n, p = 4_000, 0.3
    seen = np.asarray(apply("color,cutout", KEY, np.full((n, 8, 8, 1), 0.75, np.float32), jnp.float32(p)))
    cut = (seen == 0).any((1, 2, 3))
    coloured = seen.max((1, 2, 3)) != 0.75
    for share, expected in ((cut.mean(), p), (coloured.mean(), p), ((cut & coloured).mean(), p * p)):
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / n)


def test_parts_are_applied_in_the_order_given():
    images = np.full((64, 16, 16, 1), 0.75, np.float32)
    border_last = np.asarray(apply("color,translation", KEY, images, 1.0))
    border_first = np.asarray(apply("translation,color", KEY, images, 1.0))
    assert ((border_last == 0).any((1, 2, 3))).mean() > 0.8  # 24 of 25 shifts
    assert not (border_first == 0).any()
    np.testing.assert_array_equal(
        apply(" color , cutout", KEY, images, 1.0), apply("color,cutout", KEY, images, 1.0)
    )  # spaces do not matter


def test_side_by_side():
    """Under vmap over keys, strengths and images each is what it is alone, and a step of compiled code serves all strengths."""
    images, keys, strengths = images_of((3, 4, 8, 8, 3)), jax.random.split(KEY, 3), jnp.array([0.0, 0.5, 1.0])
    policy = "color,translation,cutout"
    together = jax.jit(jax.vmap(augment.diff_augment(policy)))(keys, images, strengths)
    for i in range(3):
        np.testing.assert_allclose(together[i], apply(policy, keys[i], images[i], strengths[i]), atol=1e-6)
    assert float(jnp.abs(together[2] - images[2]).max()) > 0.1


def test_a_batch_over_two_devices_stays_where_it_is():
    mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
    apart = NamedSharding(mesh, PartitionSpec("data"))
    images = images_of((8, 8, 8, 3))

    def there_and_back(key, images):
        y, vjp = jax.vjp(lambda x: augment.diff_augment()(key, x, 1.0), images)
        return y, vjp(y)[0]

    compiled = jax.jit(there_and_back).lower(KEY, jax.device_put(images, apart)).compile()
    for each in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert each not in compiled.as_text()
    for both, one in zip(compiled(KEY, jax.device_put(images, apart)), jax.jit(there_and_back)(KEY, images), strict=True):
        assert both.sharding.is_equivalent_to(apart, 4)
        np.testing.assert_allclose(both, one, atol=1e-6)


def test_half_precision_stays():
    images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.bfloat16)
    assert jax.eval_shape(augment.diff_augment(), KEY, images, 1.0) == images


# ------------------------------------------------------------------------------------------------------------- in training


def test_a_step_by_hand():
    """D and the penalty see augmented images, real and generated each by draws of their own; G's gradient comes through."""
    count, shape, gamma = 6, (8, 8, 2), 0.3
    real, w, image = images_of((count, *shape)), images_of(shape, 1), images_of(shape, 2)
    transform = augment.diff_augment("translation,cutout")

    def as_generator(params, stats, z, labels, key, *, train):
        return jnp.broadcast_to(params[None], (z.shape[0], *shape)), stats

    def as_discriminator(params, stats, x, labels, key, *, train):
        return (params[None] * x).sum((1, 2, 3)), stats

    gan = make_gan(
        generator=Network(lambda key: (jnp.asarray(image), {}), as_generator),
        discriminator=Network(lambda key: (jnp.asarray(w), {}), as_discriminator, depends_on_batch=False),
        loss=losses.wasserstein,
        penalty=penalties.r1,
        gamma=gamma,
        augment=transform,
        g_optimizer=optax.sgd(1.0),  # so that the change of the parameters is minus their gradient
        d_optimizer=optax.sgd(1.0),
        latent_dim=1,
    )
    start = gan.init(KEY)
    state, info = jax.jit(gan.step)(start, {"image": real, "label": jnp.zeros(count, jnp.int32)}, KEY)

    d_key, g_key = (jax.random.fold_in(key, 1) for key in jax.random.split(jax.random.fold_in(KEY, 0)))
    turns = np.stack([real, np.stack([image] * count)], axis=1).reshape(-1, *shape)
    seen = np.asarray(apply("translation,cutout", d_key, turns, 1.0))
    assert not np.array_equal(seen[1], seen[3]), "the same generated image, but other draws"
    np.testing.assert_allclose(info["real_logits"], (w * seen[0::2]).sum((1, 2, 3)).mean(), rtol=1e-5)
    np.testing.assert_allclose(info["fake_logits"], (w * seen[1::2]).sum((1, 2, 3)).mean(), rtol=1e-5)

    # The transpose of these two parts puts w back where the pixels that D sees came from: it keeps what is not hidden.
    places = 1.0 + np.broadcast_to(np.arange(64, dtype=np.float32).reshape(8, 8, 1), (count, *shape))
    place = np.asarray(apply("translation,cutout", d_key, places, 1.0)).astype(int)  # where each came from; 0: nowhere
    visible = place > 0
    np.testing.assert_allclose(info["penalty"], 0.5 * (w**2 * visible).sum((1, 2, 3)).mean(), rtol=1e-5)
    gradient = seen[1::2].mean(0) - seen[0::2].mean(0) + gamma * (w * visible.mean(0))
    np.testing.assert_allclose(start.d.params - state.d.params, gradient, rtol=1e-4, atol=1e-5)

    place = np.asarray(apply("translation,cutout", g_key, places, 1.0)).astype(int)
    after, back = np.asarray(state.d.params), np.zeros(shape)
    for i, r, c, channel in zip(*np.nonzero(place), strict=True):
        back[(*divmod(place[i, r, c, channel] - 1, 8), channel)] -= after[r, c, channel] / count
    np.testing.assert_allclose(start.g.params - state.g.params, back, rtol=1e-4, atol=1e-5)
    assert np.abs(back).max() > 0.01


# -------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("", "policy: '' is not one of color, translation, cutout"),
        ("color,,cutout", "policy: '' is not one of color, translation, cutout"),
        ("colour", "policy: 'colour' is not one of color, translation, cutout; did you mean 'color'?"),
        ("color,shift", "policy: 'shift' is not one of color, translation, cutout"),
        ("color,color", "policy: 'color,color', but each part may be named once"),
    ],
)
def test_an_odd_policy_is_refused(policy, message):
    with pytest.raises(ValueError) as error:
        augment.diff_augment(policy)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("images", "strength", "message"),
    [
        (np.zeros((4, 2), np.float32), 1.0, r"^images: shape \(4, 2\), but augmentations need \[B, H, W, C\]; points cannot"),
        (np.zeros((4, 8, 8, 3), np.uint8), 1.0, r"^images: uint8, but augmentations need floating point in \[-1, 1\]$"),
        (np.zeros((4, 8, 8, 3), np.float32), 1.5, r"^strength: 1.5, but it is a probability and must be in \[0, 1\]$"),
        (np.zeros((4, 8, 8, 3), np.float32), -1, r"^strength: -1, but it is a probability"),
        (np.zeros((4, 8, 8, 3), np.float32), float("nan"), r"^strength: nan, but it is a probability"),
    ],
)
def test_odd_arguments_are_refused_in_one_line(images, strength, message):
    with pytest.raises(ValueError, match=message) as error:
        augment.diff_augment()(KEY, images, strength)
    assert "\n" not in str(error.value)
