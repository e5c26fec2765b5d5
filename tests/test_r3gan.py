"""R3GAN: the numbers of the authors' networks, of their losses and of three of their training iterations.

`goldens/r3gan_narrow.npz` holds what PyTorch 2.13 computed on CPU with four stages of width 32, batches of 6 and the weights
of `torch_tensors`. Of images every fifth row and column is kept, of kernels with more than 1,024 entries every eighth row and
second column. `goldens/r3gan_ops.npz` holds the parts alone, the schedules of every preset, the names of a conditional pair of
widths 48, 48, 32, 16, and the deviations of the full networks' initial weights.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from goldens.seedweights import make

from jaxgan.core import losses, penalties, schedules
from jaxgan.core.gan import make_gan
from jaxgan.core.resample import downsample, upsample
from jaxgan.core.types import Player
from jaxgan.nets import convolutions, r3gan
from jaxgan.nets.convolutions import direct, winograd
from jaxgan.nets.layers import leaky_relu
from jaxgan.nets.linen import from_linen
from jaxgan.weights import foreign
from jaxgan.weights.names import r3gan as r3gan_names

GOLDENS = Path(__file__).parent / "goldens"
NARROW = {"widths": (32, 32, 32, 32), "groups": (4, 4, 4, 4)}
TINY = {"widths": (8, 4), "groups": (4, 2), "blocks": 1}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "r3gan_narrow.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def ops():
    with np.load(GOLDENS / "r3gan_ops.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """The prefix of the goldens, the dtype, and how far from them one may be: in the forward pass, penalties, gradients."""
    if request.param == "float32":
        yield "", np.float32, (1e-5, 1e-4, 1e-3)
    else:
        with jax.enable_x64(True):
            yield "f64/", np.float64, (1e-12, 1e-12, 2e-7)  # the gradients were stored in float32


def nhwc(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def nchw(x):
    return np.asarray(x).transpose(0, 3, 1, 2)


def thin(x):
    x = np.asarray(x)
    if x.ndim == 4 and x.shape[2] >= 16:
        return x[:, :, 1::5, 1::5]
    return x[::8, ::2] if x.ndim == 4 and x.size > 1024 else x


def assert_close(found, expected, tolerance, name=""):
    """Equal to within a share of the golden tensor's greatest magnitude."""
    found = np.asarray(found)
    assert found.shape == expected.shape, name
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=name)


def seeded(shapes, prefix):
    """Weights from PyTorch's names; the last kernels of the blocks are small."""
    tensors = {name: make(prefix + name, shape) for name, shape in shapes.items()}
    return {name: x * np.float32(0.25 if "LinearLayer3" in name else 1.0) for name, x in tensors.items()}


@functools.cache
def torch_tensors(net):
    """All tensors of the narrow G or D under PyTorch's names and in its layouts."""
    shapes = {"Model.AggregationLayer.Layer.weight": (3, 32, 1, 1)} if net == "G" else {}
    shapes |= {"Model.ExtractionLayer.Layer.weight": (32, 3, 1, 1)} if net == "D" else {}
    for stage in range(4):
        for block in range(2):
            name = f"Model.MainLayers.{stage}.Layers.{block + (net == 'G')}"
            shapes |= {f"{name}.NonLinearity{i}.Bias": (64,) for i in (1, 2)}
            kernels = {1: (64, 32, 1, 1), 2: (64, 16, 3, 3), 3: (32, 64, 1, 1)}
            shapes |= {f"{name}.LinearLayer{i}.Layer.weight": shape for i, shape in kernels.items()}
    start = "Model.MainLayers.0.Layers.0" if net == "G" else "Model.MainLayers.3.Layers.2"
    shapes |= {f"{start}.Basis": (32, 4, 4)} if net == "G" else {f"{start}.Basis.weight": (32, 1, 4, 4)}
    shapes[f"{start}.LinearLayer.weight"] = (32, 64) if net == "G" else (1, 32)
    return seeded(shapes, f"{net}.")


def adopted(net, dtype):
    module, params, stats = r3gan_names.from_torch(torch_tensors(net))
    assert (module, stats) == ({"G": r3gan.Generator, "D": r3gan.Discriminator}[net](**NARROW), {})
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), params)


def to_torch(module, params, **options):
    """The inverse of `from_torch`'s layouts, written apart from it: parameters under PyTorch's names."""
    named = {}
    for name, tensor in r3gan_names.torch_layout(module, **options).items():
        if not tensor.path:
            continue
        x = np.asarray(functools.reduce(lambda tree, part: tree[part], tensor.path[1:], params))
        if name.endswith("Basis"):
            x = x.transpose(2, 0, 1)
        elif name.endswith("Basis.weight"):
            x = x.transpose(2, 0, 1)[:, None]
        elif x.ndim == 4:
            x = x.transpose(3, 2, 0, 1)
        elif x.ndim == 2:
            x = x.T[:, :, None, None] if ".Layer." in name else x.T
        named[name] = x
    return named


def inputs(dtype):
    z = np.random.default_rng(1).standard_normal((6, 64)).astype(np.float32)
    x = np.random.default_rng(2).uniform(-1, 1, (6, 3, 32, 32)).astype(np.float32)
    return jnp.asarray(z, dtype), nhwc(x).astype(dtype)


# ----------------------------------------------------------------------------------------------------- networks and losses


@functools.cache
def _forward(bfloat16_levels):
    generator, critic = (make(**NARROW, bfloat16_levels=bfloat16_levels) for make in (r3gan.Generator, r3gan.Discriminator))

    def run(g, d, z, x):
        images, g_taps = generator.apply({"params": g}, z, capture_intermediates=True, mutable=["intermediates"])
        real = critic.apply({"params": d}, x)
        fake, d_taps = critic.apply({"params": d}, images, capture_intermediates=True, mutable=["intermediates"])
        outputs = [{k: v["__call__"][0] for k, v in t["intermediates"].items() if k != "__call__"} for t in (g_taps, d_taps)]
        return images, real, fake, *outputs

    return jax.jit(run)


def test_forward_equals_the_authors(golden, precision):
    prefix, dtype, (tolerance, _, _) = precision
    images, real, fake, g_taps, d_taps = _forward(0)(adopted("G", dtype), adopted("D", dtype), *inputs(dtype))
    assert images.dtype == real.dtype == dtype
    assert_close(thin(nchw(images)), golden[f"{prefix}{'out/' if not prefix else ''}G/img"], tolerance)
    assert_close(real, golden[f"{prefix}{'out/' if not prefix else ''}D/real"], tolerance)
    assert_close(fake, golden[f"{prefix}{'out/' if not prefix else ''}D/fake"], tolerance)
    for stage in range(4):
        x = nchw(g_taps[f"block_{stage}_1"])[:1, ::4, 1::3, 1::3]
        assert_close(x, golden[f"tap/G/stage{stage}"], 1e-5)
        x = d_taps[f"block_{3 - stage}_1"]
        x = nchw(downsample(x, r3gan.FILTER))[:1, ::4, 1::3, 1::3] if stage < 3 else np.asarray(fake)[:2, None]
        assert_close(x, golden[f"tap/D/stage{stage}"], 1e-5)


def test_half_precision_equals_the_authors(golden):
    images, real, fake, g_taps, d_taps = _forward(3)(adopted("G", np.float32), adopted("D", np.float32), *inputs(np.float32))
    assert images.dtype == real.dtype == fake.dtype == jnp.float32
    for taps in (g_taps, d_taps):
        for name, x in taps.items():
            full = name == "linear" or name.startswith("block_0")
            assert x.dtype == (jnp.float32 if full else jnp.bfloat16), name
    np.testing.assert_array_equal(images, images.astype(jnp.bfloat16).astype(jnp.float32))
    assert_close(thin(nchw(images)), golden["bf16/G/img"], 1e-2)
    for name, logits in (("real", real), ("fake", fake)):  # sums of terms of about 1, so rounded to 1e-2 in all
        np.testing.assert_allclose(logits, golden[f"bf16/D/{name}"], rtol=1e-2, atol=1e-2)
    assert np.abs(thin(nchw(images)) - golden["out/G/img"]).max() > 1e-4  # it is another computation


@functools.cache
def _d_gradient():
    critic, key = r3gan.Discriminator(**NARROW), jax.random.key(0)

    def judge(d, x):
        return critic.apply({"params": d}, x)

    def loss(d, real, fake, gamma):
        logits = judge(d, real), judge(d, fake)
        both = penalties.r1_r2(functools.partial(judge, d), real, fake, key)
        adv, rel = losses.relativistic.d(*logits), logits[0] - logits[1]
        total = (adv + gamma * both).mean()
        return total, {"adv": adv, "rel": rel, "total_mean": total, "both": both}

    @jax.jit
    def run(d, real, fake, gamma):
        (_, told), grads = jax.value_and_grad(loss, has_aux=True)(d, real, fake, gamma)
        # Of these no gradient is asked for, and tracing one takes longest of all.
        told |= {p.__name__: 2.0 * p(functools.partial(judge, d), real, fake, key) for p in (penalties.r1, penalties.r2)}
        return told, grads

    return run


def test_d_loss_penalties_and_gradients_equal_the_authors(golden, precision):
    prefix, dtype, (forward, second, gradient) = precision
    z, real = inputs(dtype)
    fake, *_ = _forward(0)(adopted("G", dtype), adopted("D", dtype), z, real)
    params, module = adopted("D", dtype), r3gan.Discriminator(**NARROW)
    told, grads = _d_gradient()(params, real, fake, jnp.asarray(0.05, dtype))
    for name in ("adv", "rel", "r1", "r2") + (() if prefix else ("total_mean",)):
        assert_close(told[name], golden[f"{prefix}loss/D/{name}"], second if name in ("r1", "r2") else forward, name)
    assert_close(told["both"], np.asarray(told["r1"] + told["r2"]) / 2, second)
    found = to_torch(module, grads)
    assert found.keys() == torch_tensors("D").keys()
    for name, x in found.items():
        assert_close(thin(x), golden[f"{prefix}grad/D/{name}"], gradient, name)
    if not prefix:
        found = to_torch(module, _d_gradient()(params, real, fake, jnp.asarray(150.0, dtype))[1])
        expected = {name.removeprefix("grad_gamma150/D/"): x for name, x in golden.items() if name.startswith("grad_gamma150")}
        assert len(expected) == 4
        for name, x in expected.items():
            assert_close(thin(found[name]), x, gradient, name)


def test_g_loss_and_gradients_equal_the_authors(golden):
    generator, critic = r3gan.Generator(**NARROW), r3gan.Discriminator(**NARROW)

    def loss(g, d, z, real):
        fake_logits = critic.apply({"params": d}, generator.apply({"params": g}, z))
        values = losses.relativistic.g(critic.apply({"params": d}, real), fake_logits)
        return values.mean(), values

    weights = (adopted(net, np.float32) for net in "GD")
    grads, values = jax.jit(jax.grad(loss, has_aux=True))(*weights, *inputs(np.float32))
    assert_close(values, golden["loss/G/adv"], 1e-5)
    found = to_torch(generator, grads)
    assert found.keys() == torch_tensors("G").keys()
    for name, x in found.items():
        assert_close(thin(x), golden[f"grad/G/{name}"], 1e-3, name)


# ----------------------------------------------------------------------------------------------------------------- training


def train_three_iterations(dtype):
    """The library's own steps on the authors' noise and images; the last state, and what each step reported."""
    modules = {"G": r3gan.Generator(**NARROW), "D": r3gan.Discriminator(**NARROW)}
    decaying = functools.partial(schedules.cosine, images=24.0)
    optimizer = schedules.scheduled(optax.adam, learning_rate=decaying(2e-4, 5e-5), b1=0.0, b2=decaying(0.9, 0.99), eps=1e-8)
    key = jax.random.key(0)

    @jax.jit
    def step(state, batch, d_z, g_z):
        # What a step draws z with, D's first: so the noise of either player can be handed to it.
        d_key, g_key = (jax.random.fold_in(k, 4) for k in jax.random.split(jax.random.fold_in(key, state.step), 2))

        def noise(key, shape):
            given = [(jax.random.key_data(key) == jax.random.key_data(k)).all() for k in (d_key, g_key)]
            return jnp.where(given[0], d_z, jnp.where(given[1], g_z, jnp.nan))

        return gan(noise).step(state, batch, key)

    def gan(latent):
        return make_gan(
            generator=from_linen(modules["G"], jnp.zeros((1, 64))),
            discriminator=from_linen(modules["D"], jnp.zeros((1, 32, 32, 3))),
            loss=losses.relativistic,
            g_optimizer=optimizer,
            d_optimizer=optimizer,
            latent_dim=64,
            latent=latent,
            penalty=penalties.r1_r2,
            gamma=decaying(0.05, 0.005),
            ema_half_life=decaying(0.0, 5e3),
        )

    state = jax.eval_shape(gan(jax.random.normal).init, key)
    g, d = (Player(params, {}, jax.jit(optimizer.init)(params)) for params in (adopted("G", dtype), adopted("D", dtype)))
    state = state._replace(step=jnp.zeros((), jnp.int32), g=g, d=d, ema=type(state.ema)(g.params, {}))
    told = []
    for it in range(3):
        images = [np.random.default_rng(seed + it).uniform(-1, 1, (6, 3, 32, 32)).astype(np.float32) for seed in (70, 80)]
        noise = [np.random.default_rng(seed + it).standard_normal((6, 64)).astype(np.float32) for seed in (50, 60)]
        image = jnp.stack([nhwc(x) for x in images], axis=1).reshape(12, 32, 32, 3).astype(dtype)  # D's and G's in turns
        batch = {"image": image, "label": jnp.zeros(12, jnp.int32)}
        state, info = step(state, batch, *(jnp.asarray(z, dtype) for z in noise))
        told.append(info)
    return modules, state, told


@pytest.mark.parametrize("precision", ["float64"], indirect=True)  # in float32 Adam's first steps enlarge rounding
def test_three_iterations_equal_the_authors(golden, precision):
    prefix, dtype, _ = precision
    modules, state, told = train_three_iterations(dtype)
    for info, d_row, g_row in zip(told, *(golden["train/log_rows_D_G_alternating"][i::2] for i in (0, 1)), strict=True):
        found = [info["d_loss"], info["real_logits"] - info["fake_logits"], 2.0 * info["penalty"], info["g_loss"]]
        np.testing.assert_allclose(found, [d_row[0], d_row[1], d_row[2] + d_row[3], g_row[0]], rtol=2e-4)
    z, real = inputs(dtype)
    images, logits, *_ = _forward(0)(state.g.params, state.d.params, z, real)
    averaged, *_ = _forward(0)(state.ema.params, state.d.params, z, real)
    assert_close(thin(nchw(images)), golden[f"{prefix}train/final_G_img"], 1e-9)
    assert_close(thin(nchw(averaged)), golden[f"{prefix}train/final_EMA_img"], 1e-9)
    assert_close(logits, golden[f"{prefix}train/final_D_real"], 1e-9)
    trees = {"G": state.g.params, "D": state.d.params, "EMA": state.ema.params}
    checked = 0
    for net, params in trees.items():
        for name, x in to_torch(modules["D" if net == "D" else "G"], params).items():
            if (key := f"{prefix}train/final_w/{net}/{name}") not in golden:
                continue
            checked += 1
            assert_close(x, golden[key], 1e-9, name)
    assert checked == 18


def test_schedules_equal_the_authors(ops):
    presets = {  # gamma, augmentation, half-life of the average: from and to; images
        "CIFAR10": ((0.05, 0.005), (0.0, 0.55), (0.0, 5e6), 2e7),
        "FFHQ-64": ((2.0, 0.2), (0.0, 0.3), (0.0, 5e5), 2e7),
        "FFHQ-256": ((150.0, 15.0), (0.0, 0.3), (0.0, 5e5), 2e7),
        "ImageNet-32": ((0.5, 0.05), (0.0, 0.5), (0.0, 5e7), 2e8),
        "ImageNet-64": ((1.0, 0.1), (0.0, 0.4), (0.0, 5e7), 2e8),
    }
    with jax.enable_x64(True):
        shown = jnp.asarray(ops["sched/nimg"])
        for name, (gamma, augment, average, images) in presets.items():
            ends = {"gamma": gamma, "aug": augment, "ema": average, "lr": (2e-4, 5e-5), "beta2": (0.9, 0.99)}
            for what, (start, end) in ends.items():
                found = schedules.cosine(start, end, images)(shown)
                np.testing.assert_allclose(found, ops[f"sched/{name}/{what}"], rtol=1e-12, atol=1e-15 * max(start, end))


# -------------------------------------------------------------------------------------------------------------------- parts


def test_resamplers_and_activation_equal_the_authors(ops):
    x = nhwc(np.random.default_rng(21).standard_normal((2, 5, 8, 6)).astype(np.float32))
    bias = np.random.default_rng(23).standard_normal(5).astype(np.float32)
    assert_close(nchw(upsample(x, r3gan.FILTER)), ops["up/121"], 1e-6)
    assert_close(nchw(downsample(x, r3gan.FILTER)), ops["down/121"], 1e-6)
    assert_close(nchw(leaky_relu(x + bias.reshape(1, 1, 1, 5))), ops["biased_act"], 1e-6)


def test_a_block_of_full_width_equals_the_authors(ops):
    shapes = {f"NonLinearity{i}.Bias": (1536,) for i in (1, 2)}
    kernels = {1: (1536, 768, 1, 1), 2: (1536, 16, 3, 3), 3: (768, 1536, 1, 1)}
    shapes |= {f"LinearLayer{i}.Layer.weight": shape for i, shape in kernels.items()}
    whole = r3gan_names.torch_layout(r3gan.Generator())
    prefix = "Model.MainLayers.0.Layers.1."
    layout = {name: whole[prefix + name] for name in shapes}
    params, _ = foreign.adopt(seeded(shapes, "blk768."), layout)
    x, cotangent = (np.random.default_rng(i).standard_normal((1, 768, 4, 4)).astype(np.float32) for i in (24, 25))
    block = r3gan.Block(groups=96, expansion=2, depth=1)

    @jax.jit
    def run(params, x, cotangent):
        y, back = jax.vjp(lambda params, x: block.apply({"params": params}, x), params, x)
        return y, *back(cotangent)

    y, grads, dx = run(params["block_0_0"], nhwc(x), nhwc(cotangent))
    assert_close(nchw(y)[:, ::3], ops["block768/out"], 1e-5)
    assert_close(nchw(dx)[:, ::3], ops["block768/dx"], 1e-4)
    found = {
        "grad/NonLinearity1.Bias": grads["bias_1"],
        "grad/NonLinearity2.Bias": grads["bias_2"],
        "grad_sub/LinearLayer1.Layer.weight": np.asarray(grads["widen"]["kernel"]).T[::64, ::16, None, None],
        "grad_sub/LinearLayer2.Layer.weight": np.asarray(grads["grouped"]).transpose(3, 2, 0, 1)[::16, ::8],
        "grad_sub/LinearLayer3.Layer.weight": np.asarray(grads["narrow"]["kernel"]).T[::64, ::16, None, None],
    }
    for name, value in found.items():
        assert_close(value, ops[f"block768/{name}"], 1e-4, name)


@pytest.mark.parametrize(
    ("groups", "height", "tiled"), [(1, 5, False), (3, 5, False), (16, 5, False), (1, 6, True), (3, 6, True)]
)
def test_grouped_convolution_keeps_groups_apart_in_every_order(groups, height, tiled, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", 1)
    draw = np.random.default_rng(0)
    x, kernel = draw.standard_normal((2, height, 4, 48)), draw.standard_normal((3, 3, 48 // groups, 48)) / 8
    assert winograd.keeps(x.shape, (3, 3, 48 // groups, 48 // groups), stride=1, padding=1) == tiled

    def second(form, x, kernel):
        first = jax.grad(lambda x, kernel: jnp.sin(form(x, kernel)).sum(), argnums=(0, 1))
        return (
            form(x, kernel),
            first(x, kernel),
            jax.grad(lambda *a: sum(jnp.square(g).sum() for g in first(*a)), (0, 1))(x, kernel),
        )

    def by_definition(x, kernel):  # no groups, but zeros where they are
        apart = jnp.kron(jnp.eye(groups, dtype=x.dtype), jnp.ones((48 // groups, 48 // groups), x.dtype))
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        kernel = jnp.tile(kernel, (1, 1, groups, 1)) * apart[None, None]
        taps = [padded[:, i : i + height, j : j + 4] @ kernel[i, j] for i in range(3) for j in range(3)]
        return sum(taps[1:], taps[0])

    with jax.enable_x64(True):
        x, kernel = jnp.asarray(x), jnp.asarray(kernel)
        expected = jax.jit(functools.partial(second, by_definition))(x, kernel)
        for form in (
            functools.partial(convolutions.grouped_conv, groups=groups),
            functools.partial(direct._grouped_of_xla, groups=groups),
        ):
            found = jax.jit(functools.partial(second, form))(x, kernel)
            jax.tree.map(lambda a, b: assert_close(a, np.asarray(b), 1e-12), found, expected)


def test_penalties_cost_at_most_3_point_2_times_a_step_without():
    critic = r3gan.Discriminator((32, 16), (4, 2))
    x = jnp.zeros((4, 8, 8, 3))
    params = jax.eval_shape(lambda: critic.init(jax.random.key(0), x)["params"])

    def loss(params, real, fake, penalised):
        def judge(x):
            return critic.apply({"params": params}, x)

        logits = judge(jnp.stack([real, fake], axis=1).reshape(8, 8, 8, 3))
        value = losses.relativistic.d(logits[::2], logits[1::2]).mean()
        return value + penalties.r1_r2(judge, real, fake, jax.random.key(0)).mean() if penalised else value

    def flops(penalised):
        found = jax.jit(jax.grad(functools.partial(loss, penalised=penalised))).lower(params, x, x).compile().cost_analysis()
        return found["flops"]

    ratio = flops(True) / flops(False)
    assert 1.5 < ratio < 3.2


# ---------------------------------------------------------------------------------------------- structure, fields, weights


def example(module):
    if isinstance(module, r3gan.Generator):
        return jnp.zeros((2, 64)), jnp.zeros(2, jnp.int32)
    return jnp.zeros((2, module.image_size, module.image_size, module.channels)), jnp.zeros(2, jnp.int32)


def shapes_of(module):
    return jax.eval_shape(lambda: module.init(jax.random.key(0), *example(module))["params"])


def test_full_size_has_the_published_number_of_parameters():
    for module, count in ((r3gan.Generator(classes=10), 20_781_952), (r3gan.Discriminator(classes=10), 21_280_512)):
        assert sum(x.size for x in jax.tree.leaves(shapes_of(module))) == count


@pytest.mark.parametrize("net", ["G", "D"])
def test_initial_deviations_are_the_authors(ops, net):
    module = {"G": r3gan.Generator, "D": r3gan.Discriminator}[net](classes=10)

    @jax.jit
    def run(key):
        params = module.init(key, *example(module))["params"]
        return jax.tree.map(lambda x: x.std(), params), jax.tree.map(lambda x: x.mean(), params)

    std, mean = run(jax.random.key(0))
    layout = r3gan_names.torch_layout(module)
    names = ops[f"init/{net}/names"]
    assert len(names) == len([tensor for tensor in layout.values() if tensor.path])
    for name, expected, size in zip(names, ops[f"init/{net}/std"], ops[f"init/{net}/size"], strict=True):
        path = layout[name].path[1:]
        found, centre = (float(functools.reduce(lambda tree, part: tree[part], path, tree)) for tree in (std, mean))
        assert found == pytest.approx(expected, rel=6.0 / np.sqrt(size), abs=0.0), name
        assert abs(centre) <= 5.0 * expected / np.sqrt(size), name


@pytest.mark.parametrize("net", ["G", "D"])
def test_from_torch_knows_the_names_of_a_conditional_pair(ops, net):
    shapes = {n: tuple(map(int, s.split())) for n, s in zip(ops[f"cond/{net}/names"], ops[f"cond/{net}/shapes"], strict=True)}
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64
    tensors = seeded(shapes, f"{net}.") | {name: kernel for name in shapes if name.endswith("Resampler.Kernel")}
    module, params, stats = r3gan_names.from_torch(tensors)
    make_module = {"G": r3gan.Generator, "D": r3gan.Discriminator}[net]
    assert (module, stats) == (make_module((48, 48, 32, 16), (6, 6, 4, 2), classes=10), {})
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes_of(module))
    assert r3gan_names.torch_layout(module).keys() == shapes.keys()
    back = to_torch(module, params)
    for name, x in back.items():
        np.testing.assert_array_equal(x, tensors[name])
    bias, kernel_name = (f"Model.MainLayers.1.Layers.1.{rest}" for rest in ("NonLinearity1.Bias", "LinearLayer2.Layer.weight"))
    broken = tensors | {bias: np.zeros(3), "conv.weight": np.zeros(1)}
    del broken[kernel_name]
    resampler = next(name for name in shapes if name.endswith("Resampler.Kernel"))
    broken[resampler] = kernel[::-1] * 2
    with pytest.raises(ValueError) as error:
        r3gan_names.from_torch(broken)
    message = str(error.value)
    assert "\n" not in message
    assert f"missing: {kernel_name}; surplus: conv.weight; misshaped: {bias} (3) for (" in message
    assert f"of another value than this architecture has: {resampler}" in message


@pytest.mark.parametrize("make_module", [r3gan.Generator, r3gan.Discriminator])
@pytest.mark.parametrize(
    "fields",
    [
        TINY,
        {"widths": (8, 16, 4), "groups": (2, 8, 1), "blocks": (1, 3, 2), "expansion": 4, "channels": 1},
        {"widths": (16,), "groups": (1,), "classes": 3, "embedding": 5},
    ],
)
def test_module_of_inverts_torch_layout(make_module, fields):
    module = make_module(**fields)
    tensors = {name: np.zeros(t.shape) for name, t in r3gan_names.torch_layout(module, latent_dim=7).items() if t.fixed is None}
    found, params, _ = r3gan_names.from_torch(tensors)
    assert found == module
    if make_module is r3gan.Generator:
        assert params["linear"]["kernel"].shape[0] == 7 + (5 if module.classes else 0)
    else:
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes_of(module))


@pytest.mark.parametrize("tensors", [{}, {"main.0.weight": np.zeros((1, 1, 4, 4))}])
def test_other_networks_tensors_are_refused(tensors):
    with pytest.raises(ValueError, match=r"tensors: 0 residual blocks .* but an R3GAN has"):
        r3gan_names.from_torch(tensors)


@pytest.mark.parametrize("make_module", [r3gan.Generator, r3gan.Discriminator])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"widths": (), "groups": ()}, r"widths: \(\), but a network has at least one stage"),
        ({"widths": (8, 0)}, r"widths: \(8, 0\), but each must be at least 1"),
        ({"groups": (4,)}, r"groups: \(4,\), but widths name 2 stages"),
        ({"groups": (3, 2)}, r"groups: \(3, 2\), but 3 does not divide the 2 x 8 channels of its stage"),
        ({"blocks": (1, 1, 1)}, r"blocks: \(1, 1, 1\), but widths name 2 stages"),
        ({"blocks": 0}, r"blocks: \(0, 0\), but each must be at least 1"),
        ({"expansion": 0}, "expansion: 0, but it must be at least 1"),
        ({"channels": 0}, "channels: 0, but it must be at least 1"),
        ({"classes": -1}, "classes: -1, but it must be 0 \\(unconditional\\) or more"),
        ({"embedding": 0}, "embedding: 0, but it must be at least 1"),
        ({"bfloat16_levels": 2}, "bfloat16_levels: 2, but it must be a whole number from 0 to 1: not the stage of 4x4"),
        ({"bfloat16_levels": -1}, "bfloat16_levels: -1, but it must be a whole number from 0 to 1"),
    ],
)
def test_fields_are_checked(make_module, fields, message):
    with pytest.raises(ValueError, match=message) as error:
        make_module(**(TINY | fields))
    assert "\n" not in str(error.value)


def test_images_and_labels_are_checked():
    with pytest.raises(ValueError, match=r"images: \(2, 16, 16, 3\), but this discriminator sees \(batch, 8, 8, 3\)"):
        jax.eval_shape(r3gan.Discriminator(**TINY).init, jax.random.key(0), jnp.zeros((2, 16, 16, 3)))
    for module in (r3gan.Generator(**TINY, classes=4), r3gan.Discriminator(**TINY, classes=4)):
        with pytest.raises(ValueError, match="labels: None, but a network of 4 classes needs them"):
            jax.eval_shape(module.init, jax.random.key(0), example(module)[0])


def test_labels_choose_a_vector_for_g_and_a_projection_for_d():
    generator = r3gan.Generator(**TINY, classes=3, embedding=5)
    critic = r3gan.Discriminator(**TINY, classes=3)
    z, labels = jax.random.normal(jax.random.key(0), (4, 6)), jnp.array([0, 2, 1, 2])

    @jax.jit
    def run():
        g = generator.init(jax.random.key(1), z, labels)["params"]
        images = generator.apply({"params": g}, z, labels)
        told = jnp.concatenate([z, g["label"][labels]], axis=1)
        same = r3gan.Generator(**TINY).apply({"params": {k: v for k, v in g.items() if k != "label"}}, told)
        d = critic.init(jax.random.key(2), images, labels)["params"]
        variables = {"params": d}
        logits, taps = critic.apply(variables, images, labels, capture_intermediates=True, mutable=["intermediates"])
        projected = (taps["intermediates"]["linear"]["__call__"][0] * d["label"][labels]).sum(1)
        return images, same, logits, projected, critic.apply(variables, images, (labels + 1) % 3)

    images, same, logits, projected, others = run()
    np.testing.assert_allclose(images, same, rtol=1e-6)
    np.testing.assert_allclose(logits, projected, rtol=1e-6)
    assert np.abs(logits - others).min() > 1e-4


def test_a_step_in_half_precision_leaves_parameters_in_full():
    fields = TINY | {"bfloat16_levels": 1}
    generator = from_linen(r3gan.Generator(**fields), jnp.zeros((1, 6)))
    critic = from_linen(r3gan.Discriminator(**fields), jnp.zeros((1, 8, 8, 3)))
    adam = optax.adam(2e-4, b1=0.0)
    gan = make_gan(
        generator=generator, discriminator=critic, loss=losses.relativistic, g_optimizer=adam, d_optimizer=adam, latent_dim=6,
        penalty=penalties.r1_r2, gamma=1.0,
    )  # fmt: skip
    state = jax.jit(gan.init)(jax.random.key(0))
    batch = {"image": jax.random.uniform(jax.random.key(1), (8, 8, 8, 3), minval=-1.0), "label": jnp.zeros(8, jnp.int32)}
    new, info = jax.jit(gan.step)(state, batch, jax.random.key(2))
    assert not critic.depends_on_batch
    assert all(np.isfinite(x) for x in info.values())
    assert info["penalty"] > 0.0
    assert {x.dtype for x in jax.tree.leaves((new.g.params, new.d.params))} == {jnp.dtype(jnp.float32)}
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), (state.g.params, state.d.params), (new.g.params, new.d.params))
    assert all(jax.tree.leaves((moved[0]["to_image"], moved[1]["from_image"], moved[1]["block_1_0"]["narrow"])))
