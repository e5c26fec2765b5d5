"""SNGAN: the numbers of mimicry's 32-pixel pair, its state after every pass, and what labels do in both players.

`goldens/sngan32.npz` holds what PyTorch 2.13 computed on CPU with widths of 16 and batches of 6, from the weights and
inputs in `goldens/sngan32_given.npz`. Of images the first two are kept; of the gradients, those of one step of D on real
and on generated images and then of one of G, all but the biases before a batch normalisation, zero but for rounding.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.losses import hinge
from jaxgan.nets import sngan
from jaxgan.nets.linen import from_linen
from jaxgan.weights.names import sngan as sngan_names

GOLDENS = Path(__file__).parent / "goldens"
FIELDS = [{}, {"classes": 3}, {"channels": 1, "classes": 2}]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "sngan32_given.npz") as given, np.load(GOLDENS / "sngan32.npz") as found:
        return dict(given) | dict(found)


def below(golden, prefix):
    return {name.removeprefix(prefix): x for name, x in golden.items() if name.startswith(prefix)}


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


def assert_close(found, expected, tolerance, name=""):
    """Equal to within a share of the golden tensor's greatest magnitude."""
    assert found.shape == expected.shape, name
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=name)


def to_torch(module, params, stats):
    """The state dict that a network's arrays make, by rules of names: what `from_torch` must have undone."""
    variables, tensors = {"params": params, **stats}, {}
    for name, tensor in sngan_names.torch_layout(module).items():
        x = variables
        for part in tensor.path:
            x = x[part]
        if not tensor.path:
            x = np.zeros((), np.int64)
        elif name.startswith("l1."):
            x = np.asarray(x).T.reshape(-1, 4, 4, module.width, *([] if x.ndim == 1 else [x.shape[0]]))
            x = np.stack([x[..., c] for c in range(module.width)]) if x.ndim == 4 else np.moveaxis(x, 3, 1)
            x = x.reshape(16 * module.width, *x.shape[4:])
        elif name.endswith("weight_v"):
            kernel = params
            for part in tensor.path[1:-2]:
                kernel = kernel[part]
            shape = kernel["kernel"].shape[:-1]
            x = np.asarray(x).reshape(shape)
            x = (x.transpose(2, 0, 1) if x.ndim == 3 else x).ravel()
        else:
            x = np.asarray(x)
            is_kernel = tensor.path[-1] == "kernel"
            x = x.transpose((3, 2, 0, 1) if x.ndim == 4 else (1, 0)) if is_kernel else x
        tensors[name] = x
    return tensors


def networks(golden, dtype=np.float32):
    """G and D: module, parameters, statistics."""
    both = [sngan_names.from_torch(below(golden, f"w/{net}/")) for net in "GD"]
    return [(module, *jax.tree.map(lambda x: jnp.asarray(x, dtype), weights)) for module, *weights in both]


def forward(module, params, stats, x, labels=None, *, train=True):
    return module.apply({"params": params, **stats}, x, labels, train=train, mutable=list(stats))


# --------------------------------------------------------------------------------------------------------------- goldens


def test_evaluation_equals_the_golden(golden):
    (g, *g_weights), (d, *d_weights) = networks(golden)
    assert (g, d) == (sngan.Generator(width=16), sngan.Discriminator(width=16))
    images, g_stats = jax.jit(functools.partial(forward, g, train=False))(*g_weights, golden["in/z"])
    logits, d_stats = jax.jit(functools.partial(forward, d, train=False))(*d_weights, nhwc(golden["in/x"]))
    assert_close(images[:2], nhwc(golden["eval/G/img"]), 1e-5)
    assert_close(logits[:, None], golden["eval/D/real"], 1e-5)
    # In evaluation the vectors of spectral normalisation stay, and are those that were given.
    assert jax.tree.all(jax.tree.map(np.array_equal, (g_stats, d_stats), (g_weights[1], d_weights[1])))


def test_two_training_passes_and_their_state_equal_the_golden(golden):
    for net, (module, params, stats), x in zip("GD", networks(golden), (golden["in/z"], nhwc(golden["in/x"])), strict=True):
        run = jax.jit(functools.partial(forward, module))
        for i in (0, 1):
            y, stats = run(params, stats, x)
            if net == "G":
                assert_close(y[:2], nhwc(golden[f"train/{i}/G/img"]), 1e-5)
            else:
                assert_close(y[:, None], golden[f"train/{i}/D/real"], 1e-5)
            found, expected = to_torch(module, params, stats), below(golden, f"train/{i}/state/{net}/")
            assert len(expected) == {"G": 14, "D": 22}[net]
            for name, value in expected.items():
                assert_close(found[name], value, 1e-5, name)


def test_losses_and_gradients_equal_the_golden(golden):
    dtype = np.float32
    (g, g_params, g_stats), (d, d_params, d_stats) = networks(golden, dtype)
    x, z, z2 = (jnp.asarray(golden[f"in/{name}"], dtype) for name in ("x", "z", "z2"))

    def d_loss(params, stats, real, fake):
        # Apart, so that the vectors of spectral normalisation move twice.
        real_logits, stats = forward(d, params, stats, real)
        fake_logits, stats = forward(d, params, stats, fake)
        return hinge.d(real_logits, fake_logits).mean(), (real_logits, fake_logits, stats)

    def g_loss(params, stats, d_params, d_stats, z):
        fake_logits, _ = forward(d, d_params, d_stats, forward(g, params, stats, z)[0])
        return hinge.g(fake_logits, fake_logits).mean(), fake_logits

    fake, g_stats = jax.jit(functools.partial(forward, g))(g_params, g_stats, z)
    d_step, g_step = (jax.jit(jax.value_and_grad(loss, has_aux=True)) for loss in (d_loss, g_loss))
    (value, (real_logits, fake_logits, d_stats)), d_gradient = d_step(d_params, d_stats, nhwc(x), fake)
    assert value.dtype == dtype
    assert_close(value, golden["loss/D/hinge"], 1e-5)
    assert_close(real_logits[:, None], golden["loss/D/real"], 1e-5)
    assert_close(fake_logits[:, None], golden["loss/D/fake"], 1e-5)
    # No update between the two, but G's turn finds the state that D's turn left.
    (value, fake_logits), g_gradient = g_step(g_params, g_stats, d_params, d_stats, z2)
    assert_close(value, golden["loss/G/hinge"], 1e-5)
    assert_close(fake_logits[:, None], golden["loss/G/fake"], 1e-5)
    for net, module, gradient, stats in (("G", g, g_gradient, g_stats), ("D", d, d_gradient, d_stats)):
        found, expected = to_torch(module, gradient, stats), below(golden, f"grad/{net}/")
        assert len(expected) == {"G": 27, "D": 22}[net]
        for name, value in expected.items():
            assert_close(found[name], value, 1e-4, name)


# --------------------------------------------------------------------------------------------------------------- weights


def random_tensors(module, latent_dim=128):
    rng = np.random.default_rng(0)
    layout = sngan_names.torch_layout(module, latent_dim)
    return {name: rng.standard_normal(tensor.shape).astype(np.float32) for name, tensor in layout.items()}


@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("make", [sngan.Generator, sngan.Discriminator])
def test_from_torch_has_the_networks_own_structure_and_loses_nothing(make, fields):
    module = make(width=4, **fields)
    tensors = random_tensors(module)
    found, params, stats = sngan_names.from_torch(tensors)
    assert found == module
    x = jnp.zeros((1, 128) if make is sngan.Generator else (1, 32, 32, module.channels))
    shapes = jax.eval_shape(from_linen(module, x, jnp.zeros(1, jnp.int32)).init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, (params, stats)) == jax.tree.map(jnp.shape, shapes)
    for name, value in to_torch(module, params, stats).items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(value, tensors[name], err_msg=name)


def test_conditional_networks_have_the_published_names():
    g = sngan_names.torch_layout(sngan.Generator(classes=10))
    assert g["block2.b1.embed.weight"].shape == (10, 512)  # scale, then bias
    assert "block2.b1.weight" not in g
    assert g["b5.weight"].shape == (256,)  # the last one is of no class
    d = sngan_names.torch_layout(sngan.Discriminator(classes=10))
    assert [d[f"l_y.weight_{x}"].shape for x in ("orig", "u", "v")] == [(10, 128), (10,), (128,)]
    assert "l_y.bias" not in d


@pytest.mark.parametrize(
    ("module", "gone", "bent"),
    [
        (sngan.Generator(width=4), "c5.weight", "block3.c1.bias"),
        (sngan.Generator(width=4), "l1.weight", "c5.bias"),
        (sngan.Generator(width=4, classes=3), "block2.b1.embed.weight", "block4.b2.embed.weight"),
        (sngan.Discriminator(width=4), "l5.weight_u", "block1.c1.weight_orig"),
        (sngan.Discriminator(width=4, classes=3), "block2.c_sc.weight_v", "l_y.weight_v"),
    ],
)
def test_from_torch_names_all_that_is_wrong(module, gone, bent):
    tensors = random_tensors(module)
    del tensors[gone]
    tensors[bent] = tensors[bent][1:]
    tensors |= {"conv9.weight": np.zeros(1), "block3.c2.bias": np.full(4, np.nan)}
    with pytest.raises(ValueError, match="tensors: ") as error:
        sngan_names.from_torch(tensors)
    kinds = dict(part.split(": ", 1) for part in str(error.value).removeprefix("tensors: ").split("; "))
    shapes = [f"({', '.join(map(str, shape))})" for shape in (tensors[bent].shape, random_tensors(module)[bent].shape)]
    assert kinds == {
        "missing": gone,
        "surplus": "conv9.weight",
        "misshaped": f"{bent} {shapes[0]} for {shapes[1]}",
        "not finite": "block3.c2.bias",
    }


@pytest.mark.parametrize("tensors", [{}, {"main.0.weight": np.zeros((1, 1, 4, 4))}])
def test_from_torch_refuses_another_architecture(tensors):
    with pytest.raises(ValueError, match=r"^tensors: none of an SNGAN, but its generator has l1\.weight"):
        sngan_names.from_torch(tensors)


# ---------------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("fields", FIELDS)
def test_shapes(fields):
    labels = jnp.zeros(5, jnp.int32)
    images = jnp.zeros((5, 32, 32, fields.get("channels", 3)))

    def run(module, x):
        network = from_linen(module, x, labels)
        params, stats = network.init(jax.random.key(0))
        y, new = network.apply(params, stats, x, labels, jax.random.key(1), train=True)
        assert jax.tree.structure(new) == jax.tree.structure(stats)
        assert list(stats) == ["batch_stats" if x.ndim == 2 else "spectral"]
        return y

    y = jax.eval_shape(functools.partial(run, sngan.Generator(**fields)), jnp.zeros((5, 7)))
    assert (y.shape, y.dtype) == (images.shape, jnp.float32)
    y = jax.eval_shape(functools.partial(run, sngan.Discriminator(**fields)), images)
    assert (y.shape, y.dtype) == ((5,), jnp.float32)


def test_each_class_has_gains_of_its_own():
    module = sngan.Generator(width=4, classes=3)
    z, labels = jnp.ones((4, 8)), jnp.array([0, 1, 2, 1])
    params, stats = jax.jit(from_linen(module, z, labels).init)(jax.random.key(0))
    run = jax.jit(lambda params: forward(module, params, stats, z, labels, train=False)[0])
    images = run(params)
    np.testing.assert_array_equal(images[1], images[3])
    for block, norm, features in ((0, "norm_0", slice(0, 4)), (2, "norm_1", slice(4, 8))):  # scales, biases
        changed = jax.tree.map(np.array, params)
        changed[f"block_{block}"][norm]["embedding"][1, features] += 1.0
        differs = np.abs(run(changed) - images).max((1, 2, 3)) > 1e-3
        assert differs.tolist() == [False, True, False, True]


def test_projection_adds_the_features_product_with_the_labels_vector():
    fields, x, labels = {"width": 4}, np.random.default_rng(1).standard_normal((4, 32, 32, 3)), np.array([0, 1, 2, 1])
    tensors = random_tensors(sngan.Discriminator(classes=3, **fields))
    module, params, stats = sngan_names.from_torch(tensors)

    @jax.jit
    def run(x):
        variables = {"params": params, **stats}
        return module.apply(variables, x, labels, train=True, capture_intermediates=True, mutable=["intermediates", "spectral"])

    logits, new = run(x.astype(np.float32))
    features = np.maximum(new["intermediates"]["block_3"]["__call__"][0], 0).sum((1, 2))
    table, weight = tensors["l_y.weight_orig"], tensors["l5.weight_orig"]

    def normalised(matrix, u):
        """By one power iteration, in PyTorch's orientation: u is of the rows."""
        v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
        u = matrix @ v / np.linalg.norm(matrix @ v)
        return matrix / (u @ matrix @ v), u, v

    weight, _, _ = normalised(weight, tensors["l5.weight_u"])
    table, u, v = normalised(table, tensors["l_y.weight_u"])
    expected = features @ weight[0] + tensors["l5.bias"] + (features * table[labels]).sum(1)
    assert_close(logits, expected, 1e-5)
    kept = new["spectral"]["label"]["spectral_norm"]
    assert_close(kept["u"], u, 1e-5)
    assert_close(kept["v"], v, 1e-5)


def test_initial_weights_are_xaviers():
    def initial(module, x):
        return jax.jit(module.init)(jax.random.key(0), x, jnp.zeros(1, jnp.int32))["params"]

    g = initial(sngan.Generator(width=16, classes=2), jnp.zeros((1, 8)))
    d = initial(sngan.Discriminator(width=16, classes=2), jnp.zeros((1, 32, 32, 3)))
    kernels = {
        1.0: [g["start"], g["image"], g["block_1"]["shortcut"], d["block_0"]["shortcut"], d["logit"], d["label"]],
        2.0: [g["block_0"]["conv_0"], g["block_2"]["conv_1"], d["block_0"]["conv_0"], d["block_3"]["conv_1"]],
    }
    for square, layers in kernels.items():
        for layer in layers:
            kernel, places = layer["kernel"], np.prod(layer["kernel"].shape[:-2])
            bound = np.sqrt(square * 6.0 / (places * (kernel.shape[-2] + kernel.shape[-1])))
            assert 0.8 * bound < float(jnp.abs(kernel).max()) <= bound
            if kernel.size > 500:
                assert float(kernel.std()) == pytest.approx(bound / np.sqrt(3.0), rel=0.05)


# ------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (sngan.Generator, {"image_size": 64}, "image_size: 64, but sngan makes images of side 32 only"),
        (sngan.Discriminator, {"image_size": 28}, "image_size: 28, but sngan makes images of side 32 only"),
        (sngan.Generator, {"channels": 5}, "channels: 5, but it must be from 1 to 4"),
        (sngan.Discriminator, {"channels": 0}, "channels: 0, but it must be from 1 to 256"),
        (sngan.Discriminator, {"width": 0}, "width: 0, but it must be at least 1"),
        (sngan.Generator, {"width": 2.5}, "width: 2.5, but it must be a whole number"),
        (sngan.Generator, {"classes": -1}, "classes: -1, but it must be 0"),
    ],
)
def test_fields_are_checked(make, fields, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (sngan.Generator(width=4, classes=3), np.zeros((2, 8))),
        (sngan.Discriminator(width=4, classes=3), np.zeros((2, 32, 32, 3))),
    ],
)
def test_a_conditional_network_needs_labels(module, x):
    with pytest.raises(ValueError, match="labels: None, but this network has 3 classes"):
        jax.eval_shape(module.init, jax.random.key(0), x)
