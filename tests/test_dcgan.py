"""DCGAN: the shapes of every size, and the numbers of PyTorch's own example in evaluation, training and two whole steps.

`goldens/dcgan_narrow.npz` holds what PyTorch 2.13 computed on CPU with widths of 8, batches of 4 and the weights of
`seeded`. Of images the first is kept; of kernels with more than 8,192 entries every fourth row and second column.
"""

import functools
import hashlib
import itertools
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.core.gan import make_gan
from jaxgan.core.types import Loss, Player
from jaxgan.nets import dcgan
from jaxgan.nets.layers import leaky_relu
from jaxgan.nets.linen import from_linen
from jaxgan.weights.names import dcgan as dcgan_names

SIZES = (8, 28, 32, 64, 128)


# ---------------------------------------------------------------------------------------------------------------- shapes


def forward(module, *example):
    """Runs a module through the bridge, as training does: shapes only."""

    def run(key):
        network = from_linen(module, *example)
        params, stats = network.init(key)
        labels = example[1] if len(example) == 2 else None
        return params, *network.apply(params, stats, example[0], labels, key, train=True)

    return jax.eval_shape(run, jax.random.key(0))


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


def test_blocks_and_dense_layers_are_added_to_the_paper_s_network():
    z, x = jnp.zeros((3, 16)), jnp.zeros((3, 28, 28, 1))
    g = {"image_size": 28, "channels": 1, "width": 4, "norm": "none"}
    for module, inputs, first, maps in ((dcgan.Generator, z, 16, (8, 4)), (dcgan.Discriminator, x, 7 * 7 * 8, (4, 8))):
        plain, out, _ = forward(module(**g), inputs)
        grown, same, _ = forward(module(**g, blocks=2, dense=1), inputs)
        assert out.shape == same.shape
        added = {name for name in grown if name not in plain}
        assert added == {"dense_0", *(f"block_{i}_{j}" for i in (0, 1) for j in (0, 1))}
        # widen, conv and narrow see 1 + 9 + 1 places, and there are two biases; dense layers have 8 x 4 units.
        blocks = sum(2 * (11 * width**2 + 2 * width) for width in maps)
        dense = (first + 1) * 32 + (32 - first) * (7 * 7 * 8 if module is dcgan.Generator else 1)
        assert count(grown) - count(plain) == blocks + dense


def test_blocks_that_would_undo_spectral_normalisation_are_refused():
    with pytest.raises(ValueError, match="blocks: 1, but it must be 0 with norm spectral"):
        dcgan.Discriminator(28, 1, 4, norm="spectral", blocks=1)
    for field in ("blocks", "dense"):
        with pytest.raises(ValueError, match=f"{field}: -1, but it must be 0 or more"):
            dcgan.Generator(28, 1, 4, norm="none", **{field: -1})


def test_a_block_begins_as_the_identity():
    x, key = jax.random.normal(jax.random.key(1), (2, 28, 28, 1)), jax.random.key(0)
    plain, grown = (dcgan.Discriminator(28, 1, 4, norm="none", blocks=blocks) for blocks in (0, 1))
    params = grown.init(key, x)["params"]
    same = {name: value for name, value in params.items() if not name.startswith("block")}
    np.testing.assert_array_equal(grown.apply({"params": params}, x), plain.apply({"params": same}, x))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize("norm", ["batch", "none", "spectral"])
def test_shapes(size, channels, classes, norm):
    labels = (jnp.zeros(3, jnp.int32),) if classes else ()
    x = jnp.zeros((3, size, size, channels))
    fields = {"image_size": size, "channels": channels, "width": 4, "classes": classes, "norm": norm}
    if norm != "spectral":
        _, images, stats = forward(dcgan.Generator(**fields), jnp.zeros((3, 16)), *labels)
        assert (images.shape, images.dtype) == (x.shape, jnp.float32)
        assert list(stats) == ["batch_stats"] * (norm == "batch")
    _, logits, stats = forward(dcgan.Discriminator(**fields), x, *labels)
    assert (logits.shape, logits.dtype) == ((3,), jnp.float32)
    assert list(stats) == {"batch": ["batch_stats"], "none": [], "spectral": ["spectral"]}[norm]


def test_full_size_has_the_published_number_of_parameters():
    assert count(forward(dcgan.Generator(), jnp.zeros((2, 100)))[0]) == 3_576_704
    assert count(forward(dcgan.Discriminator(), jnp.zeros((2, 64, 64, 3)))[0]) == 2_765_568


def test_at_128_pixels_each_player_has_one_stage_more_and_the_parameters_of_its_layers():
    widths = (64, 128, 256, 512, 1024)

    def kernels(*features):  # of 4x4, without biases
        return sum(16 * ins * outs for ins, outs in itertools.pairwise(features))

    z, x = jnp.zeros((2, 100)), jnp.zeros((2, 128, 128, 3))
    g_params, images, _ = forward(dcgan.Generator(128), z)
    d_params, logits, _ = forward(dcgan.Discriminator(128), x)
    assert (images.shape, logits.shape) == (x.shape, (2,))
    assert count(g_params) == kernels(100, *reversed(widths), 3) + 2 * sum(widths) == 12_786_560
    assert count(d_params) == kernels(3, *widths, 1) + 2 * sum(widths[1:]) == 11_164_416  # D's first layer has no norm


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (dcgan.Generator, {"image_size": 16}, "image_size: 16, but dcgan makes images of side 8, 28, 32, 64"),
        (dcgan.Discriminator, {"image_size": 0}, "image_size: 0, but dcgan makes images of side"),
        (dcgan.Generator, {"channels": 5}, "channels: 5, but it must be from 1 to 4"),
        (dcgan.Discriminator, {"width": 0}, "width: 0, but it must be at least 1"),
        (dcgan.Generator, {"classes": -1}, "classes: -1, but it must be 0"),
        (dcgan.Generator, {"blocks": 1.5}, "blocks: 1.5, but it must be a whole number"),
        (dcgan.Discriminator, {"blocks": True}, "blocks: True, but it must be a whole number"),
        (dcgan.Generator, {"dense": "2"}, "dense: '2', but it must be a whole number, or None"),
        (dcgan.Generator, {"image_size": 8.0}, "image_size: 8.0, but dcgan makes images of side"),
        (dcgan.Generator, {"image_size": [8]}, r"image_size: \[8\], but dcgan makes images of side"),
        (dcgan.Generator, {"norm": "spectral"}, "norm: 'spectral' is not one of batch, none .*discriminator"),
        (dcgan.Discriminator, {"norm": "layer"}, "norm: 'layer' is not one of batch, none, spectral"),
    ],
)
def test_fields_are_checked(make, fields, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**fields)
    assert "\n" not in str(error.value)


def test_without_normalisation_the_signal_survives_and_labels_matter():
    generator, critic = dcgan.Generator(32, 3, 8, 10, "none"), dcgan.Discriminator(32, 3, 8, 10, "none")
    labels = jnp.arange(64) % 10

    @jax.jit
    def run(key):
        z = jax.random.normal(key, (64, 32))
        variables = generator.init(jax.random.key(1), z, labels)
        images, others = (generator.apply(variables, z, (labels + i) % 10) for i in (0, 1))
        variables = critic.init(jax.random.key(2), images, labels)
        return images, others, *(critic.apply(variables, images, (labels + i) % 10) for i in (0, 1))

    images, other_images, logits, other_logits = run(jax.random.key(0))
    assert 0.2 < float(images.std()) < 0.9  # N(0, 0.02) weights would leave 0.001
    assert float(jnp.abs(images - other_images).mean()) > 0.1
    assert 0.1 < float(logits.std()) < 5.0
    assert float(jnp.abs(logits - other_logits).mean()) > 0.1


def test_projection_adds_the_product_with_the_labels_vector():
    x, labels = jax.random.normal(jax.random.key(0), (4, 8, 8, 1)), jnp.array([0, 1, 2, 1])
    critic = dcgan.Discriminator(8, 1, 4, 3, "none")
    params = jax.jit(critic.init)(jax.random.key(1), x, labels)["params"]
    params["logit"]["kernel"] *= 0.0
    apply = functools.partial(critic.apply, capture_intermediates=True, mutable=["intermediates"])
    logits, found = jax.jit(apply)({"params": params}, x, labels)
    features = leaky_relu(found["intermediates"]["dense_1"]["__call__"][0])
    np.testing.assert_allclose(logits, (features * params["label"]["kernel"].T[labels]).sum(-1), rtol=1e-5)


def test_spectral_norm_makes_the_largest_singular_values_one():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    critic = dcgan.Discriminator(8, 1, 4, 3, "spectral")
    variables = jax.jit(critic.init)(jax.random.key(1), x, jnp.zeros(2, jnp.int32))
    step = jax.jit(lambda v: critic.apply(v, x, jnp.zeros(2, jnp.int32), train=True, mutable=["spectral"])[1])
    for _ in range(50):
        variables = variables | step(variables)
    assert set(variables["spectral"]) == {"down_0", "dense_0", "dense_1", "logit", "label"}
    for layer, stats in variables["spectral"].items():
        kernel = np.asarray(variables["params"][layer]["kernel"])
        matrix, u = kernel.reshape(-1, kernel.shape[-1]), np.asarray(stats["spectral_norm"]["u"])
        assert np.linalg.norm(matrix @ u) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-2)


# --------------------------------------------------------------------------------------------------------------- goldens


@pytest.fixture(scope="module")
def goldens():
    with np.load(Path(__file__).parent / "goldens" / "dcgan_narrow.npz", allow_pickle=False) as file:
        return dict(file)


def seeded(name, shape):
    """Weights that follow from their PyTorch name: its hash seeds a numpy generator."""
    seed = int(hashlib.sha256(f"narrow.{name}".encode()).hexdigest()[:8], 16)
    normal = np.random.default_rng(seed).standard_normal(shape)
    if name.endswith("running_var"):
        return np.exp(0.2 * normal).astype(np.float32)
    if name.endswith(("running_mean", "bias")):
        return (0.1 * normal).astype(np.float32)
    scaled = 1 + 0.1 * normal if len(shape) == 1 else normal * np.sqrt(2.0 / np.prod(shape[1:]))
    return scaled.astype(np.float32)


@functools.cache
def torch_tensors(net):
    """All arrays of the narrow G or D under PyTorch's names and in its layouts."""
    f = 8
    norms = {"G": {1: 8 * f, 4: 4 * f, 7: 2 * f, 10: f}, "D": {3: 2 * f, 6: 4 * f, 9: 8 * f}}[net]
    widths = {"G": (100, 8 * f, 4 * f, 2 * f, f, 3), "D": (3, f, 2 * f, 4 * f, 8 * f, 1)}[net]
    kernels = {"G": (0, 3, 6, 9, 12), "D": (0, 2, 5, 8, 11)}[net]
    shapes = {}
    for index, ins, outs in zip(kernels, widths[:-1], widths[1:], strict=True):
        shapes[f"main.{index}.weight"] = ((ins, outs) if net == "G" else (outs, ins)) + (4, 4)
    for index, features in norms.items():
        shapes |= {f"main.{index}.{name}": (features,) for name in ("weight", "bias", "running_mean", "running_var")}
    return {name: seeded(f"{net}.{name}", shape) for name, shape in shapes.items()}


def to_torch(params, stats):
    """The inverse of `from_torch`, written apart from it: G's or D's arrays under PyTorch's names and in its layouts."""
    flat = {".".join(path): np.asarray(x) for path, x in flax.traverse_util.flatten_dict(params).items()}
    flat |= {".".join(path): np.asarray(x) for path, x in flax.traverse_util.flatten_dict(stats.get("batch_stats", {})).items()}
    net, named = "G" if "up_0" in params else "D", {}
    for name, x in flat.items():
        layer, leaf = name.split(".")
        stage = 4 if layer == "logit" else int(layer[-1])
        if leaf == "kernel":
            index = 3 * stage if net == "G" else (0, 2, 5, 8, 11)[stage]
            x = x.reshape(4, 4, -1, 1) if layer == "logit" else x
            named[f"main.{index}.weight"] = x.transpose((2, 3, 0, 1) if net == "G" else (3, 2, 0, 1))
        else:
            index = 3 * stage + 1 if net == "G" else 3 * stage
            leaf = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}[leaf]
            named[f"main.{index}.{leaf}"] = x
    return named


def networks():
    z, x = jnp.zeros((1, 100)), jnp.zeros((1, 64, 64, 3))
    return {"G": from_linen(dcgan.Generator(width=8), z), "D": from_linen(dcgan.Discriminator(width=8), x)}


def inputs(goldens):
    x = np.tanh(np.random.default_rng(int(goldens["in/x_seed"])).standard_normal((4, 3, 64, 64)).astype(np.float32))
    assert x.astype(np.float64).sum() == pytest.approx(float(goldens["in/x_sum64"]), abs=1e-3)
    return goldens["in/z"].reshape(4, 100), nhwc(x)


def nhwc(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def thin(x):
    return x[::4, ::2] if x.ndim == 4 and x.size > 8192 else x


def assert_close(found, golden, tolerance):
    """Equal to within a share of the golden tensor's greatest magnitude."""
    assert found.shape == golden.shape
    np.testing.assert_allclose(found, golden, rtol=0, atol=tolerance * np.abs(golden).max())


def test_weights_regenerate(goldens):
    for net in "GD":
        sums = [np.abs(x.astype(np.float64)).sum() for x in torch_tensors(net).values()]
        assert sum(sums) == pytest.approx(goldens[f"{net}/abssum64"].sum(), rel=1e-9)


@pytest.mark.parametrize("net", ["G", "D"])
def test_from_torch_has_the_networks_own_structure_and_loses_nothing(net):
    module, *found = dcgan_names.from_torch(torch_tensors(net))
    assert module == {"G": dcgan.Generator(width=8), "D": dcgan.Discriminator(width=8)}[net]
    shapes = functools.partial(jax.tree.map, jnp.shape)
    assert shapes(tuple(found)) == shapes(jax.eval_shape(networks()[net].init, jax.random.key(0)))
    back = to_torch(*found)
    assert back.keys() == torch_tensors(net).keys()
    for name, x in back.items():
        np.testing.assert_array_equal(x, torch_tensors(net)[name])


def test_from_torch_names_what_is_wrong():
    tensors = torch_tensors("D")
    wrong = {name: x for name, x in tensors.items() if name != "main.3.running_var"}
    wrong |= {"conv1.weight": np.zeros((1, 1, 4, 4)), "main.6.bias": np.zeros(3), "main.9.bias": np.full(64, np.nan)}
    with pytest.raises(ValueError) as error:
        dcgan_names.from_torch(wrong)
    assert str(error.value) == (
        "tensors: missing: main.3.running_var; surplus: conv1.weight; misshaped: main.6.bias (3) for (32); "
        "not finite: main.9.bias"
    )
    with pytest.raises(ValueError, match="tensors: none, but a DCGAN"):
        dcgan_names.from_torch({})


def taps(module, net, x, *, train):
    """The per-sample mean after each PyTorch layer `main.{i}`, from what each of our layers returned."""
    _, params, stats = dcgan_names.from_torch(torch_tensors(net))
    variables = {"params": params, **stats}
    mutable = ["intermediates", "batch_stats"] if train else ["intermediates"]

    @jax.jit
    def run(variables):
        y, new = module.apply(variables, x, train=train, capture_intermediates=True, mutable=mutable)
        layers = {name: value["__call__"][0] for name, value in new.pop("intermediates").items() if isinstance(value, dict)}
        act, index, means = (jax.nn.relu if net == "G" else leaky_relu), 0, {}
        for i in range(5):
            kernel, norm = f"up_{i}" if net == "G" else f"down_{i}" if i < 4 else "logit", f"norm_{i}"
            chain = [layers[kernel]] + ([layers[norm]] if norm in layers else [])
            chain.append(jax.nn.sigmoid(chain[-1]) if kernel == "logit" else jnp.tanh(chain[-1]) if i == 4 else act(chain[-1]))
            for value in chain:
                means[f"{net}/main.{index}"] = value.reshape(4, -1).mean(1)
                index += 1
        return y, means, new

    return run(variables)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_forward_equals_pytorch(goldens, mode):
    z, x = inputs(goldens)
    train = mode == "train"
    images, g_means, g_new = taps(dcgan.Generator(width=8), "G", z, train=train)
    assert_close(nhwc_to_torch(images[:1]), goldens[f"{mode}/G/img"], 1e-5)
    logits, d_means, d_new = taps(dcgan.Discriminator(width=8), "D", x, train=train)
    assert_close(jax.nn.sigmoid(logits), goldens[f"{mode}/D/real_prob"], 1e-5)
    _, d_params, d_stats = dcgan_names.from_torch(torch_tensors("D"))
    judge = jax.jit(functools.partial(networks()["D"].apply, train=train))
    fake_logits, _ = judge(d_params, d_stats, images, None, jax.random.key(0))
    assert_close(jax.nn.sigmoid(fake_logits), goldens[f"{mode}/D/fake_prob"], 1e-5)
    assert len(g_means | d_means) == 27
    for name, means in (g_means | d_means).items():
        # A mean over thousands of values of either sign: held to their spread after normalisation, about 1.
        np.testing.assert_allclose(means, goldens[f"{mode}/tapmean/{name}"], rtol=1e-5, atol=1e-5, err_msg=name)
    if train:
        for net, new in (("G", g_new), ("D", d_new)):
            for name, value in to_torch({"up_0": {}} if net == "G" else {}, new).items():
                assert_close(value, goldens[f"train/running_after_1fwd/{net}/{name}"], 1e-5)


def nhwc_to_torch(x):
    return np.asarray(x).transpose(0, 3, 1, 2)


def train_two_iterations(goldens, dtype):
    """Two alternating updates with the library's own step; the states after each, and what it reported."""
    nets, optimizer = networks(), optax.adam(2e-4, b1=0.5, b2=0.999)
    softplus = jax.nn.softplus  # what BCE on sigmoid outputs equals
    loss = Loss(lambda real, fake: softplus(-real) + softplus(fake), lambda real, fake: softplus(-fake))

    def player(net):
        params, stats = jax.tree.map(lambda x: x.astype(dtype), dcgan_names.from_torch(torch_tensors(net))[1:])
        return Player(params, stats, jax.jit(optimizer.init)(params))

    @jax.jit
    def step(state, x, z):
        # One z for both players, as PyTorch's example has it: `fake` is generated once per iteration.
        gan = make_gan(
            generator=nets["G"], discriminator=nets["D"], loss=loss, g_optimizer=optimizer, d_optimizer=optimizer,
            latent_dim=100, latent=lambda key, shape: z, share_z=True,
        )  # fmt: skip
        new, info = gan.step(state, {"image": x, "label": jnp.zeros(4, jnp.int32)}, jax.random.key(0))
        # PyTorch moves D's running statistics on G's batch as well, here only the player under update's move. They do not
        # enter training, so this third move is made up for here, to compare what evaluation makes of them.
        fake, _ = nets["G"].apply(state.g.params, state.g.stats, z, None, jax.random.key(0), train=True)
        _, stats = nets["D"].apply(new.d.params, new.d.stats, fake, None, jax.random.key(0), train=True)
        return new._replace(d=new.d._replace(stats=stats)), new.d.stats, info

    gan = make_gan(
        generator=nets["G"], discriminator=nets["D"], loss=loss, g_optimizer=optimizer, d_optimizer=optimizer, latent_dim=100
    )
    state = jax.eval_shape(gan.init, jax.random.key(0))
    g, d = player("G"), player("D")
    state = state._replace(step=jnp.zeros((), jnp.int32), g=g, d=d, ema=type(state.ema)(g.params, g.stats))
    history = []
    for it in (0, 1):
        x = nhwc(goldens[f"step/{it}/x"]).astype(dtype)
        before = state
        state, kept, info = step(state, x, goldens[f"step/{it}/z"].reshape(4, 100).astype(dtype))
        # The rule itself: in a step D's statistics move on real, then on generated images, and no further.
        assert not np.allclose(kept["batch_stats"]["norm_1"]["mean"], before.d.stats["batch_stats"]["norm_1"]["mean"])
        history.append((state, info))
    return history


def check_losses(history, golden, tolerance):
    for (_, info), (real, fake, g) in zip(history, golden, strict=True):
        np.testing.assert_allclose([info["d_loss"], info["g_loss"]], [real + fake, g], rtol=tolerance)


def evaluate(goldens, state):
    dtype, key = state.d.params["down_0"]["kernel"].dtype, jax.random.key(0)
    z, x = (given.astype(dtype) for given in inputs(goldens))
    apply = {net: jax.jit(functools.partial(network.apply, train=False)) for net, network in networks().items()}
    images, _ = apply["G"](state.g.params, state.g.stats, z, None, key)
    logits, _ = apply["D"](state.d.params, state.d.stats, x, None, key)
    return nhwc_to_torch(images[:1]), jax.nn.sigmoid(logits)


def test_two_iterations_equal_pytorch(goldens):
    history = train_two_iterations(goldens, jnp.float32)
    check_losses(history, [goldens[f"step/{it}/errDreal_errDfake_errG"] for it in (0, 1)], 1e-4)
    first, final = history[0][0], history[1][0]
    for net, player in (("G", first.g), ("D", first.d)):
        # After one update Adam's first moment is (1 - b1) times the gradient.
        for name, gradient in to_torch(jax.tree.map(lambda m: np.asarray(m) / 0.5, player.opt[0].mu), {}).items():
            assert_close(thin(gradient), goldens[f"grad0/{net}/{name}"], 1e-3)
    checked = 0
    for net, player in (("G", final.g), ("D", final.d)):
        for name, value in to_torch(player.params, player.stats).items():
            if (key := f"step/final/{net}/{name}") in goldens:
                assert_close(thin(value), goldens[key], 1e-3)
                checked += 1
    assert checked == 31
    images, real = evaluate(goldens, final)
    assert_close(images, goldens["step/final/G_img_eval"], 1e-3)
    assert_close(real, goldens["step/final/D_real_eval"], 1e-3)


def test_two_iterations_equal_pytorch_in_double_precision(goldens):
    with jax.enable_x64(True):
        history = train_two_iterations(goldens, jnp.float64)
        check_losses(history, [goldens[f"f64/step/{it}/errDreal_errDfake_errG"] for it in (0, 1)], 1e-6)
        final = history[1][0]
        for net, player in (("G", final.g), ("D", final.d)):
            for name, value in to_torch({"up_0": {}} if net == "G" else {}, player.stats).items():
                assert_close(value, goldens[f"f64/step/final/{net}/{name}"], 1e-6)
        images, real = evaluate(goldens, final)
        assert_close(images, goldens["f64/step/final/G_img_eval"], 1e-6)
        assert_close(real, goldens["f64/step/final/D_real_eval"], 1e-6)
