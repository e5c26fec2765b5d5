"""StyleGAN2: the reference's operations, whole networks against their definition, and what chance does.

`goldens/stylegan2_ops.npz` holds what stylegan2-ada-pytorch computed with PyTorch on CPU, in NCHW, with its operations; and
the names and shapes of three pairs of state dicts. Whole networks of every architecture and their gradients are held to
`stylegan2_by_definition.py` in float64; one pair is held to the reference itself in `test_stylegan2_reference.py`.
"""

import functools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stylegan2_by_definition as definition

from jaxgan.core import losses, penalties
from jaxgan.nets import stylegan2
from jaxgan.nets.linen import from_linen
from jaxgan.nets.stylegan2_operations import activated, minibatch_deviation, modulated_conv, resampled_conv
from jaxgan.weights import foreign
from jaxgan.weights.names import stylegan2 as stylegan2_names


@functools.cache
def goldens(name):
    with np.load(Path(__file__).parent / "goldens" / f"stylegan2_{name}.npz", allow_pickle=False) as file:
        return dict(file)


def nhwc(x):
    return jnp.asarray(x).transpose(0, 2, 3, 1)


def nchw(x):
    return x.transpose(0, 3, 1, 2)


def kernel(w):
    return jnp.asarray(w.transpose(2, 3, 1, 0))


def assert_close(found, golden, tolerance=1e-5):
    """Equal to within a share of the golden tensor's greatest magnitude."""
    assert found.shape == golden.shape
    np.testing.assert_allclose(found, golden, rtol=0, atol=tolerance * np.abs(golden).max())


# ------------------------------------------------------------------------------------------------------------ operations


CONVOLUTIONS = [key for key in goldens("ops") if key.startswith("conv2d_resample/")]


@pytest.mark.parametrize("resampling", ["up1_down1", "up2_down1", "up1_down2"])
def test_resampled_convolution_equals_the_reference(resampling):
    ops, up, down = goldens("ops"), resampling[2] == "2", resampling[-1] == "2"
    keys = [key for key in CONVOLUTIONS if f"/{resampling}/" in key]
    assert len(keys) == {"up1_down1": 3, "up2_down1": 9, "up1_down2": 9}[resampling]

    def run(x):
        found = {}
        for key in keys:
            _, name, _, flip, weight = key.split("/")
            w = kernel(ops[weight])
            # Ours correlates, but convolves upwards.
            w = w if (flip == "flip1") != up else w[::-1, ::-1]
            found[key] = nchw(resampled_conv(x, w, up=up, down=down, taps=ops[f"filter/{name}"]))
        return found

    for key, y in jax.jit(run)(nhwc(ops["x"][:1])).items():
        assert_close(y, ops[key], 2e-6)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_convolution_equals_the_reference(up, demodulate):
    ops = goldens("ops")
    run = jax.jit(functools.partial(modulated_conv, demodulate=demodulate, up=up))
    y = run(nhwc(ops["x"]), kernel(ops["w3"]), ops["styles"])
    y = y + nhwc(ops["noise"]) if up else y
    assert_close(nchw(y), ops[f"modconv/up{1 + up}/demod{int(demodulate)}/fused0"])


@pytest.mark.parametrize("name", ["linear", "lrelu"])
def test_bias_and_activation_equal_the_reference(name):
    ops = goldens("ops")
    x = nhwc(ops["x"][:1])
    assert_close(nchw(activated(x, ops["b"], linear=name == "linear")), ops[f"bias_act/{name}"], 1e-6)
    clamped = activated(x, ops["b"], linear=name == "linear", gain=0.5, clamp=0.4)
    assert_close(nchw(clamped), ops[f"bias_act_gain_gain0.5_clamp0.4/{name}"], 1e-6)
    assert float(jnp.abs(clamped).max()) == pytest.approx(0.4)


@pytest.mark.parametrize(("group", "features"), [(4, 1), (4, 2), (8, 3), (None, 1), (2, 6), (4, 0)])
def test_minibatch_deviation_equals_the_reference(group, features):
    ops, count, key = goldens("ops"), 8, f"g{group}_f{features}"
    if features == 0:  # a batch of less than a group
        count, features, key = 2, 1, "n2_g4_f1"
    x = nhwc(ops["mbstd/x"][:count])
    y = jax.jit(functools.partial(minibatch_deviation, group=group, features=features))(x)
    assert y.shape == (count, 4, 4, 6 + features)
    np.testing.assert_array_equal(y[..., :6], x)
    assert_close(nchw(y[..., 6:]), np.broadcast_to(ops[f"mbstd/{key}"], (count, features, 4, 4)), 1e-6)


# -------------------------------------------------------------------------------------------------------------- networks


def tensors_for(module, seed=0):
    """Random tensors of a state dict, float64, in the sizes that training starts from or reaches."""
    rng, tensors = np.random.default_rng(seed), {}
    for name, tensor in stylegan2_names.torch_layout(module).items():
        if tensor.fixed is not None:
            tensors[name] = tensor.fixed
            continue
        x = rng.standard_normal(tensor.shape) * (100.0 if name.startswith("mapping.fc") else 1.0)
        if name.endswith(("bias", "noise_strength")):
            x = 0.1 * x + name.endswith("affine.bias")
        tensors[name] = np.asarray(x)
    return tensors


PAIRS = {
    "skip-resnet": (
        stylegan2.Generator(16, 3, 0, 6, 3, 64, 6, "skip"),
        stylegan2.Discriminator(16, 3, 0, 8, 64, 6, "resnet", 4, 1),
    ),
    "cond-skip-orig": (
        stylegan2.Generator(8, 3, 5, 6, 2, 64, 6, "skip", conv_clamp=1.0),
        stylegan2.Discriminator(8, 3, 5, 2, 64, 6, "orig", 8, 1, conv_clamp=1.0),
    ),
    "resnet-skip": (
        stylegan2.Generator(8, 1, 0, 6, 2, 64, 6, "resnet"),
        stylegan2.Discriminator(8, 1, 0, 8, 64, 6, "skip", None, 2),
    ),
    "orig-resnet": (
        stylegan2.Generator(8, 2, 3, 6, 1, 40, 5, "orig"),
        stylegan2.Discriminator(8, 2, 3, 1, 40, 6, "resnet", 2, 3),
    ),
}


def forward(generate, synthesize, map_, discriminate, g, d, z, x, noise):
    """Images and logits. `g` and `d` are the parameters; the functions take them first."""
    image = generate(g, z)
    return {"image": image, "real": discriminate(d, x), "fake": discriminate(d, image)}


def phases(generate, synthesize, map_, discriminate, g, d, z, x, noise):
    """The four parts of training, and each player's gradient of its two: `noise` is the path length's, `x` real images."""

    def g_loss(g):
        ws = map_(g, z)
        image = synthesize(g, ws)
        lengths = penalties.path_lengths(lambda ws: synthesize(g, ws), ws, noise)
        paths = 2.0 * jnp.square(lengths - 0.01 * lengths.mean())
        main = losses.non_saturating.g(jnp.zeros(8), discriminate(d, image))
        return main.mean() + paths.mean(), {"Gmain": main, "Greg": paths, "image": image}

    def d_loss(d, image):
        main = losses.non_saturating.d(discriminate(d, x), discriminate(d, image))
        slopes = 10.0 * penalties.r1(lambda x: discriminate(d, x), x, x, jax.random.key(0))
        return main.mean() + slopes.mean(), {"Dmain": main, "Dreg": slopes}

    (_, g_values), g_gradient = jax.value_and_grad(g_loss, has_aux=True)(g)
    (_, d_values), d_gradient = jax.value_and_grad(d_loss, has_aux=True)(d, g_values["image"])
    return {**g_values, **d_values, "g_gradient": g_gradient, "d_gradient": d_gradient}


def by_library_and_by_definition(pair, what):
    """What `forward` or `phases` makes of our networks, and of the definition's with the same tensors, in float64."""
    g_module, d_module = PAIRS[pair]
    g_tensors, d_tensors = tensors_for(g_module, 1), tensors_for(d_module, 2)
    side, channels, classes = g_module.image_size, g_module.channels, g_module.classes
    rng = np.random.default_rng(3)
    z, x = rng.standard_normal((8, 6)), np.tanh(rng.standard_normal((8, channels, side, side)))
    noise, labels = rng.standard_normal((8, channels, side, side)), (np.arange(8) * 3 % max(classes, 1)).astype(np.int32)

    def ours(z, x, noise):
        read, g, g_stats = stylegan2_names.from_torch(g_tensors, conv_clamp=g_module.conv_clamp)
        assert read == g_module.clone(channel_base=read.channel_base, channel_max=read.channel_max)
        read, d, d_stats = stylegan2_names.from_torch(
            d_tensors, conv_clamp=d_module.conv_clamp, mbstd_group=d_module.mbstd_group
        )
        fields = {"channel_base": read.channel_base, "channel_max": read.channel_max, "mapping_layers": read.mapping_layers}
        assert (read, d_stats) == (d_module.clone(**fields), {})

        def apply(g, *inputs, **settings):
            return g_module.apply({"params": g, **g_stats}, *inputs, **settings)

        return what(
            lambda g, z: apply(g, z, labels),
            lambda g, ws: apply(g, ws, noise="const", method="synthesize"),
            lambda g, z: apply(g, z, labels, method="map"),
            lambda d, x: d_module.apply({"params": d}, x, labels),
            g, d, z, nhwc(x), nhwc(noise),
        )  # fmt: skip

    def defined(z, x, noise):
        one_hot, clamp = np.eye(classes)[labels] if classes else None, g_module.conv_clamp
        state = {name: t for name, t in g_tensors.items() if name.endswith("noise_const")}

        def synthesize(g, ws):
            images = definition.synthesis(g, ws, definition.constant_noise(state), g_module.architecture, clamp)
            return images.transpose(0, 2, 3, 1)

        def map_(g, z):
            w = definition.mapping(g, z, one_hot)
            return jnp.stack([w] * g_module.num_ws, axis=1)

        def discriminate(d, x):
            of = (d_module.architecture, d_module.mbstd_group, d_module.mbstd_features, clamp)
            return definition.discriminator(d, x.transpose(0, 3, 1, 2), one_hot, *of)

        learnt = [
            {name: x for name, x in t.items() if not name.endswith(("noise_const", "w_avg", "filter"))}
            for t in (g_tensors, d_tensors)
        ]
        return what(
            lambda g, z: synthesize(g, map_(g, z)), synthesize, map_, discriminate, *learnt, z, nhwc(x), nhwc(noise)
        )  # fmt: skip

    with jax.enable_x64(True):
        return jax.jit(ours)(z, x, noise), jax.jit(defined)(z, x, noise)


def assert_same(found, wanted):
    for name, golden in wanted.items():
        assert found[name].dtype == jnp.float64
        assert_close(found[name], np.asarray(golden), 1e-11)


@pytest.mark.parametrize("pair", ["skip-resnet", "orig-resnet"])
def test_whole_networks_are_those_of_the_definition(pair):
    assert_same(*by_library_and_by_definition(pair, forward))


@pytest.mark.parametrize("pair", ["cond-skip-orig", "resnet-skip"])
def test_all_losses_and_gradients_are_those_of_the_definition(pair):
    found, wanted = by_library_and_by_definition(pair, phases)
    for module, name in zip(PAIRS[pair], ("g_gradient", "d_gradient"), strict=True):
        layout = {
            name: tensor for name, tensor in stylegan2_names.torch_layout(module).items() if tensor.path[:1] == ("params",)
        }
        golden, _ = foreign.adopt({name: np.asarray(x) for name, x in wanted.pop(name).items()}, layout)
        gradient = found.pop(name)
        assert jax.tree.structure(gradient) == jax.tree.structure(golden)
        for (path, x), y in zip(jax.tree.leaves_with_path(golden), jax.tree.leaves(gradient), strict=True):
            np.testing.assert_allclose(y, x, rtol=0, atol=1e-9 * np.abs(x).max(), err_msg=jax.tree_util.keystr(path))
    assert set(found) == {"image", "Gmain", "Greg", "Dmain", "Dreg"}
    assert_same(found, wanted)


# ----------------------------------------------------------------------------------------------- names, shapes and errors


NAMES = json.loads(str(goldens("ops")["names"]))
FIELDS = {
    "uncond_skip_resnet": ({"architecture": "skip"}, {"architecture": "resnet"}),
    "cond_skip_orig_cifar": (
        {"architecture": "skip", "classes": 10, "mapping_layers": 2},
        {"architecture": "orig", "classes": 10, "mapping_layers": 2},
    ),
    "uncond_resnet_skip": ({"architecture": "resnet", "mapping_layers": 2}, {"architecture": "skip", "mbstd_features": 2}),
}


@pytest.mark.parametrize("config", FIELDS)
@pytest.mark.parametrize("player", ["G", "D"])
def test_state_dicts_have_the_references_names_and_shapes_and_tell_the_network(config, player):
    shapes = {name[2:]: tuple(shape) for name, shape in NAMES[config].items() if name.startswith(player)}
    common = {"channel_base": 1280, "channel_max": 40}  # 1280 // 32 is 40; that at 32 there are 32 tells 1024
    fields = common | {"channel_base": 1024} | FIELDS[config][player == "D"]
    module = stylegan2.Generator(**fields, w_dim=64) if player == "G" else stylegan2.Discriminator(**fields)
    assert {name: tensor.shape for name, tensor in stylegan2_names.torch_layout(module).items()} == shapes
    assert stylegan2_names.module_of({name: np.zeros(shape) for name, shape in shapes.items()}) == module


@pytest.mark.parametrize("size", [8, 256])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("classes", [0, 7])
def test_shapes(size, architecture, classes):
    fields = {"image_size": size, "channels": 2, "classes": classes, "architecture": architecture, "mapping_layers": 2}
    fields |= {"channel_base": 1024, "channel_max": 8}
    generator = stylegan2.Generator(**fields, w_dim=12)
    critic = stylegan2.Discriminator(**fields)
    labels = jnp.zeros(4, jnp.int32)

    def run(key):
        g = from_linen(generator, jnp.zeros((1, 5)), labels[:1])
        d = from_linen(critic, jnp.zeros((1, size, size, 2)), labels[:1], depends_on_batch=True)
        (g_params, g_stats), (d_params, d_stats) = g.init(key), d.init(key)
        images, g_new = g.apply(g_params, g_stats, jnp.zeros((4, 5)), labels, key, train=True)
        logits, d_new = d.apply(d_params, d_stats, images, labels, key, train=True)
        return (g_params, g_stats), (d_params, d_stats), images, logits, g_new, d_new

    *networks, images, logits, g_new, d_new = jax.eval_shape(run, jax.random.key(0))
    assert (images.shape, images.dtype) == ((4, size, size, 2), jnp.float32)
    assert (logits.shape, logits.dtype) == ((4,), jnp.float32)
    assert (set(g_new), set(d_new)) == ({"averages", "noise_const"}, set())
    # What a state dict becomes has the networks' own structure.
    for module, (params, stats) in zip((generator, critic), networks, strict=True):
        layout = stylegan2_names.torch_layout(module, 5) if module is generator else stylegan2_names.torch_layout(module)
        empty = {name: np.zeros(tensor.shape) if tensor.fixed is None else tensor.fixed for name, tensor in layout.items()}
        read, *found = stylegan2_names.from_torch(empty)
        assert jax.tree.map(jnp.shape, tuple(found)) == jax.tree.map(jnp.shape, (params, stats))
        again = {name: tensor.shape for name, tensor in stylegan2_names.torch_layout(read, 5).items()}
        assert again == {name: tensor.shape for name, tensor in layout.items()}


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (stylegan2.Generator, {"image_size": 24}, "image_size: 24, but stylegan2 makes images of side 16 or 32"),
        (stylegan2.Discriminator, {"image_size": 4}, "image_size: 4, but stylegan2 makes images of side 8"),
        (stylegan2.Generator, {"image_size": -8}, "image_size: -8, but stylegan2 makes images of side 8"),
        (stylegan2.Discriminator, {"architecture": "dense"}, "architecture: 'dense' is not one of skip, resnet, orig"),
        (stylegan2.Generator, {"channels": 0}, "channels: 0, but it must be at least 1"),
        (stylegan2.Generator, {"classes": -1}, "classes: -1, but it must be 0"),
        (stylegan2.Generator, {"w_dim": 0}, "w_dim: 0, but it must be at least 1"),
        (stylegan2.Generator, {"image_size": "32"}, "image_size: '32', but it must be a whole number"),
        (stylegan2.Discriminator, {"mbstd_group": 1.0}, "mbstd_group: 1.0, but it must be a whole number, or None"),
        (stylegan2.Discriminator, {"mapping_layers": 0}, "mapping_layers: 0, but it must be at least 1"),
        (stylegan2.Generator, {"channel_base": 16}, "channel_base: 16, but it must be at least image_size, 32"),
        (stylegan2.Generator, {"channel_max": 0}, "channel_max: 0, but it must be at least 1"),
        (stylegan2.Generator, {"style_mixing": 1.5}, "style_mixing: 1.5, but it must be from 0 to 1"),
        (stylegan2.Discriminator, {"conv_clamp": 0.0}, "conv_clamp: 0.0, but it must be above 0, or None"),
        (stylegan2.Generator, {"bfloat16_levels": 4}, "bfloat16_levels: 4, but it must be from 0 to 3"),
        (stylegan2.Discriminator, {"mbstd_group": 0}, "mbstd_group: 0, but it must be at least 1, or None"),
        (stylegan2.Discriminator, {"mbstd_features": 3}, "mbstd_features: 3, but it must divide the 512 channels"),
    ],
)
def test_fields_are_checked(make, fields, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**fields)
    assert "\n" not in str(error.value)


TINY = {"image_size": 8, "channels": 1, "channel_base": 32, "channel_max": 6}


def test_calls_are_checked():
    generator, critic = stylegan2.Generator(**TINY, classes=2, w_dim=4, mapping_layers=1), stylegan2.Discriminator(**TINY)
    z, x, ws, key = jnp.zeros((2, 4)), jnp.zeros((6, 8, 8, 1)), jnp.zeros((2, 4, 4)), jax.random.key(0)
    with pytest.raises(ValueError, match="labels: None, but a network of 2 classes needs them"):
        jax.eval_shape(generator.init, key, z)
    with pytest.raises(ValueError, match="labels: None, but a network of 2 classes"):
        jax.eval_shape(stylegan2.Discriminator(**TINY, classes=2).init, key, x[:4])
    with pytest.raises(ValueError, match="mbstd_group: 4, but it must divide the batch of 6"):
        jax.eval_shape(critic.init, key, x)
    for wrong, settings, message in (
        (ws[:, :3], {}, r"ws: shape \(2, 3, 4\), but it must be \[B, 4, 4\]"),
        (ws, {"noise": "uniform"}, "noise: 'uniform' is not one of random, const, none"),
        (ws, {"noise": [jnp.zeros((2, 4, 4, 1))]}, "noise: shapes .* but they must be .*8, 8, 1"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(functools.partial(generator.init, method="synthesize", **settings), key, wrong)
    for psi in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"psi: {psi}, but it must be finite"):
            stylegan2.truncate(ws, jnp.zeros(4), psi)
    with pytest.raises(ValueError, match="w_avg: None, but truncation needs the average"):
        stylegan2.truncate(ws, None, 0.5)
    with pytest.raises(ValueError, match="cutoff: 5, but it must be from 0 to 4"):
        stylegan2.truncate(ws, jnp.zeros(4), 0.5, 5)


def test_from_torch_names_what_is_wrong():
    tensors = tensors_for(PAIRS["skip-resnet"][1])

    def without(*names):
        return {name: x for name, x in tensors.items() if name not in names}

    for wrong, message in (
        ({}, "tensors: neither synthesis.b4.const nor b4.out.weight"),
        (without("b8.conv0.weight"), r"tensors: missing: b8\.conv0\.weight"),
        (without("b8.conv1.bias"), r"tensors: missing: b8\.conv1\.bias"),
        (tensors | {"b8.extra": np.zeros(2)}, r"tensors: surplus: b8\.extra"),
        (tensors | {"b8.conv1.bias": np.zeros(2)}, r"tensors: misshaped: b8\.conv1\.bias \(2\) for \(6\)"),
        (tensors | {"b8.conv0.weight": np.zeros(2)}, r"tensors: misshaped: b8\.conv0\.weight has 1 axes, but it must have 4"),
        (tensors | {"b8.conv0.weight": np.zeros((3, 3, 3, 3))}, r"tensors: features 3 at 8, but those of the other sides"),
        (tensors | {"b8.resample_filter": np.eye(4)}, r"tensors: of another value .*: b8\.resample_filter"),
        (tensors | {"b4.out.bias": np.array([np.nan])}, r"tensors: not finite: b4\.out\.bias"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            stylegan2_names.from_torch(wrong)
        assert "\n" not in str(error.value)
    filters = [name for name in tensors if name.endswith("resample_filter")]
    assert len(filters) == 10
    assert stylegan2_names.from_torch(without(*filters))[0] == stylegan2_names.from_torch(tensors)[0]


# ------------------------------------------------------------------------------------------- chance, averages, precision


@functools.cache
def start(module, *shape):
    return jax.tree.map(jnp.asarray, jax.jit(module.init)(jax.random.key(0), jnp.zeros(shape)))


def tiny(**fields):
    """A small generator, and the variables that it starts from, whatever the fields."""
    module = stylegan2.Generator(**TINY, w_dim=4, mapping_layers=2)
    return module.clone(**fields), start(module, 2, 4)


def tiny_critic(**fields):
    module = stylegan2.Discriminator(**TINY)
    return module.clone(**fields), start(module, 4, 8, 8, 1)


def test_networks_start_as_the_reference_does():
    module = stylegan2.Generator(8, 3, 0, 64, 2, 1024, 64, "resnet")
    params, stats = jax.jit(from_linen(module, jnp.zeros((1, 64))).init)(jax.random.key(0))
    block = params["block_8"]
    np.testing.assert_array_equal(block["conv_0"]["affine"]["bias"], 1.0)
    for zeros in (block["conv_0"]["bias"], block["conv_0"]["noise_strength"], params["mapping"]["dense_0"]["bias"]):
        np.testing.assert_array_equal(zeros, 0.0)
    normal = [
        params["block_4"]["const"],
        block["skip"]["kernel"],
        block["conv_1"]["kernel"],
        block["conv_0"]["affine"]["kernel"],
    ]
    for x in (*normal, params["mapping"]["dense_1"]["kernel"] / 100.0):
        assert float(x.std()) == pytest.approx(1.0, abs=0.1)
    assert float(stats["noise_const"]["block_8"]["conv_1"]["noise"].std()) == pytest.approx(1.0, abs=0.2)
    np.testing.assert_array_equal(stats["averages"]["w_avg"], jnp.zeros(64))


def test_noise_is_fixed_in_sampling_and_drawn_in_training():
    module, variables = tiny()
    strong = jax.tree.map_with_path(lambda path, x: x + ("noise_strength" in str(path)), variables)
    z = jax.random.normal(jax.random.key(1), (3, 4))

    @jax.jit
    def run(key):
        apply = functools.partial(module.apply, strong, rngs={"noise": key})
        return {"sampled": apply(z), "training": apply(z, train=True)}

    one, other = run(jax.random.key(2)), run(jax.random.key(3))
    np.testing.assert_array_equal(one["sampled"], other["sampled"])
    for drawn in (other["training"], one["sampled"]):
        assert float(jnp.abs(one["training"] - drawn).mean()) > 0.1
    without = jax.eval_shape(tiny(noise=False)[0].init, jax.random.key(0), z)
    assert "noise_const" in variables
    assert "noise_const" not in without


def test_the_average_of_w_follows_training_and_style_mixing_does_not_move_it():
    z = jax.random.normal(jax.random.key(1), (6, 4))
    module, variables = tiny(style_mixing=1.0)

    @jax.jit
    def run(key):
        apply = functools.partial(module.apply, variables, rngs={"noise": key}, mutable=["averages"])
        ws, kept = apply(z, train=False, method="map")
        return ws, kept, apply(z, train=True, method="map")[1], apply(z, train=True)[1]

    ws, kept, mapped, mixed = run(jax.random.key(2))
    assert float(jnp.abs(kept["averages"]["w_avg"]).max()) == 0.0
    for new in (mapped, mixed):
        np.testing.assert_allclose(new["averages"]["w_avg"], 0.005 * ws[:, 0].mean(axis=0), rtol=1e-4, atol=1e-8)
    far = {**variables, "averages": {"w_avg": jnp.arange(4.0)}}
    truncated = jax.jit(lambda: module.apply(far, z, truncation=0.0, method="map"))()
    np.testing.assert_allclose(truncated, jnp.broadcast_to(jnp.arange(4.0), truncated.shape), atol=1e-6)


def test_style_mixing_gives_the_finer_layers_another_latents_w():
    module, variables = tiny(style_mixing=0.5)
    z = jax.random.normal(jax.random.key(1), (2, 4))

    @jax.jit
    def run(key):
        ws = module.apply(variables, z, method="map")
        bound = module.bind(variables, rngs={"noise": key})
        return ws, bound._mixed(ws, z, None)

    cuts = []
    for i in range(60):
        ws, mixed = run(jax.random.key(i))
        same = np.asarray((ws == mixed).all(axis=-1))
        assert (same == same[:1]).all()  # one cut for the batch
        cuts.append(int(same[0].sum()))
        assert same[0, : cuts[-1]].all()  # the coarse layers keep theirs
    assert set(cuts) == {1, 2, 3, 4}
    assert 0.3 < np.mean(np.array(cuts) == 4) < 0.7  # as often as not there is none


def test_half_precision_is_near_and_returns_full():
    x, z = jax.random.normal(jax.random.key(0), (4, 8, 8, 1)), jax.random.normal(jax.random.key(1), (4, 4))
    (full, variables), (half, _) = tiny(), tiny(bfloat16_levels=1)
    images = jax.jit(lambda: (full.apply(variables, z), half.apply(variables, z)))()
    (full, variables), (half, _) = tiny_critic(), tiny_critic(bfloat16_levels=1)
    logits = jax.jit(lambda: (full.apply(variables, x), half.apply(variables, x)))()
    for exact, rough in (images, logits):
        assert exact.dtype == rough.dtype == jnp.float32
        assert 0.0 < float(jnp.abs(exact - rough).max()) < 0.05 * float(jnp.abs(exact).max())


def test_what_a_group_shares_reaches_all_its_logits():
    critic, variables = tiny_critic(mbstd_group=2)
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    run = jax.jit(functools.partial(critic.apply, variables))
    before, after = run(x), run(x.at[0].mul(3.0))
    np.testing.assert_array_equal(np.asarray(before == after), [False, True, False, True])  # 0 and 2 are a group
