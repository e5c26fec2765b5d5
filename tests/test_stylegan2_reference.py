"""StyleGAN2 against stylegan2-ada-pytorch: a whole G and D of 32x32, every output, every loss and every gradient.

`goldens/stylegan2_reference.npz` holds what that reference computed with PyTorch on CPU in float32, in NCHW, for eight latents
and eight images: G skip, D resnet, unconditional, eight mapping layers, at most 40 channels. `w/` are the weights by the
names in its state dicts. Of a gradient it holds entries at even distances, about 400 for a tensor (`grad/<phase>/<name>`),
and of each whole tensor the greatest magnitude and the sum of magnitudes (`whole/<phase>`, in the order of the names); of the
images without noise and with the noise given (`G/noise_random`) those of the first four latents. No unit lies so near the
kink of its leaky ReLU that rounding could turn its slope.
"""

import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import losses, penalties
from jaxgan.nets import stylegan2
from jaxgan.nets.linen import from_linen
from jaxgan.weights.names import stylegan2 as stylegan2_names


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "goldens" / "stylegan2_reference.npz", allow_pickle=False) as file:
        return dict(file)


def under(prefix, golden):
    return {name.removeprefix(prefix): x for name, x in golden.items() if name.startswith(prefix)}


def nhwc(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def nchw(x):
    return x.transpose(0, 3, 1, 2)


def assert_close(found, wanted, tolerance=5e-6):
    """Equal to within a share of the golden tensor's greatest magnitude."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


class Player:
    """G or D with the reference's weights, which `from_torch` gives it."""

    def __init__(self, name, golden):
        self.tensors = under(f"w/{name}/", golden)
        self.module, self.params, self.stats = stylegan2_names.from_torch(self.tensors)
        layout = stylegan2_names.torch_layout(self.module)
        self.learnt = {name: tensor for name, tensor in layout.items() if tensor.path[:1] == ("params",)}

    def __call__(self, params, *inputs, **settings):
        return self.module.apply({"params": params, **self.stats}, *inputs, **settings)

    def by_reference_name(self, tree):
        """The parameters, or their gradient, in the reference's names and layouts; flat."""
        assert jax.tree.map(jnp.shape, tree) == jax.tree.map(jnp.shape, self.params)
        assert len(jax.tree.leaves(tree)) == len(self.learnt)
        tensors = {}
        for name, tensor in self.learnt.items():
            places = tensor.convert(np.arange(math.prod(tensor.shape)).reshape(tensor.shape))
            found = functools.reduce(lambda branch, part: branch[part], tensor.path[1:], tree)
            tensors[name] = np.empty(places.size, found.dtype)
            tensors[name][places.ravel()] = np.ravel(found)
        return tensors


@pytest.fixture(scope="module")
def g(golden):
    return Player("G", golden)


@pytest.fixture(scope="module")
def d(golden):
    return Player("D", golden)


@pytest.fixture(scope="module")
def g_phase(golden, g, d):
    """G's loss, what it is made of, and its gradient."""

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(params, z):
        ws = g(params, z, method="map")
        image = g(params, ws, noise="const", method="synthesize")
        logits = d(d.params, image)
        loss = losses.non_saturating.g(jnp.zeros(8), logits)
        return loss.mean(), {"ws": ws, "image": image, "logits": logits, "loss": loss}

    (_, found), gradient = run(g.params, golden["in/z"])
    return found, gradient


@pytest.fixture(scope="module")
def d_phase(golden, d):
    """D's loss on the reference's own images, its logits, and its gradient."""

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(params, real, fake):
        logits = {"real": d(params, real), "fake": d(params, fake)}
        loss = losses.non_saturating.d(logits["real"], logits["fake"])
        return loss.mean(), {**logits, "loss": loss}

    (_, found), gradient = run(d.params, nhwc(golden["in/x"]), nhwc(golden["G/img_const_unfused"]))
    return found, gradient


# --------------------------------------------------------------------------------------------------------------- outputs


def test_the_references_weights_get_in_through_from_torch(g, d):
    common = {"image_size": 32, "channels": 3, "channel_base": 1024, "channel_max": 40}
    assert g.module == stylegan2.Generator(**common, w_dim=64, mapping_layers=8, architecture="skip")
    assert d.module == stylegan2.Discriminator(**common, architecture="resnet", mbstd_group=4, mbstd_features=1)
    for player, example in ((g, jnp.zeros((1, 64))), (d, jnp.zeros((4, 32, 32, 3)))):
        network = from_linen(player.module, example)
        shapes = jax.tree.map(jnp.shape, jax.eval_shape(network.init, jax.random.key(0)))
        assert jax.tree.map(jnp.shape, (player.params, player.stats)) == shapes
        for name, x in player.by_reference_name(player.params).items():
            assert x.dtype == jnp.float32
            np.testing.assert_array_equal(x, player.tensors[name].ravel(), err_msg=name)
    np.testing.assert_array_equal(g.stats["averages"]["w_avg"], g.tensors["mapping.w_avg"])
    for side, i in [(4, 1), *((side, i) for side in (8, 16, 32) for i in (0, 1))]:
        noise = g.stats["noise_const"][f"block_{side}"][f"conv_{i}"]["noise"]
        np.testing.assert_array_equal(noise, g.tensors[f"synthesis.b{side}.conv{i}.noise_const"])


def test_styles_their_average_and_truncation_equal_the_reference(golden, g):
    @jax.jit
    def run(z):
        ws, new = g(g.params, z, train=True, method="map", mutable=["averages"])
        return ws, new["averages"]["w_avg"], g(g.params, z, truncation=0.7, method="map")

    ws, w_avg, truncated = run(golden["in/z"])
    assert_close(ws, golden["G/ws"])
    assert_close(w_avg, golden["G/w_avg_after_train_fwd"])
    assert_close(truncated, golden["G/ws_psi0.7"])
    of_some = stylegan2.truncate(ws, g.stats["averages"]["w_avg"], 0.5, 4)
    assert_close(of_some, golden["G/ws_psi0.5_cutoff4"])


def test_images_with_fixed_noise_equal_the_reference(golden, g_phase):
    found, _ = g_phase
    assert_close(found["ws"], golden["G/ws"])
    assert_close(nchw(found["image"]), golden["G/img_const_unfused"])


def test_images_with_given_noise_and_without_equal_the_reference(golden, g):
    fields = [nhwc(golden[f"G/noise_random/{i}"]) for i in range(7)]

    @jax.jit
    def run(ws):
        of = functools.partial(g, g.params, ws, method="synthesize")
        return {"random": of(noise=fields), "none": of(noise="none")}

    for noise, image in run(golden["G/ws"][:4]).items():
        assert_close(nchw(image), golden[f"G/img_{noise}"])


def test_logits_equal_the_reference(golden, d, d_phase, g_phase):
    found, _ = d_phase
    assert_close(found["real"], golden["D/real"][:, 0])
    assert_close(found["fake"], golden["D/fake"][:, 0])
    assert_close(g_phase[0]["logits"], golden["D/fake"][:, 0])
    first = jax.jit(functools.partial(d, d.params))(nhwc(golden["in/x"][:4]))
    assert_close(first, golden["D/real_first4"][:, 0])


# ------------------------------------------------------------------------------------------------------ losses, gradients


def assert_gradients(player, phase, golden, gradient, tolerance=1e-4):
    """Of every parameter: entries, to within a share of the greatest; the greatest, and the sum of magnitudes, of them all."""
    wanted, found = under(f"grad/{phase}/", golden), player.by_reference_name(gradient)
    assert found.keys() == wanted.keys()
    for (name, entries), (greatest, total) in zip(wanted.items(), golden[f"whole/{phase}"], strict=True):
        x = found[name]
        step = -(-x.size // 400)
        while math.gcd(step, x.size) > 1:  # else the entries would share their place in the kernels
            step += 1
        assert x[::step].shape == entries.shape
        np.testing.assert_allclose(x[::step], entries, rtol=0, atol=tolerance * greatest, err_msg=name)
        assert np.abs(x).max() == pytest.approx(greatest, rel=tolerance), name
        assert np.abs(x).sum(dtype=np.float64) == pytest.approx(total, rel=tolerance), name


def test_gs_loss_and_gradient_equal_the_reference(golden, g, g_phase):
    found, gradient = g_phase
    assert_close(found["loss"], golden["loss/Gmain/Loss/G/loss"][:, 0])
    assert_gradients(g, "Gmain", golden, gradient)


def test_path_lengths_and_their_gradient_equal_the_reference(golden, g, monkeypatch):
    noise, lengths = nhwc(golden["loss/pl_noise_unit"]), penalties.path_lengths
    monkeypatch.setattr(penalties, "path_lengths", lambda synthesize, w, drawn: lengths(synthesize, w, noise))

    def synthesize(params, stats, w, key, *, train):
        return g(params, w, noise="const", method="synthesize")

    network = from_linen(g.module, jnp.zeros((1, 64)))._replace(synthesize=synthesize)
    penalty = penalties.path_length(network, weight=2.0, decay=0.01, shrink=1)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(params, z):
        values, average = penalty.apply(params, g.stats, z, jnp.zeros(4, jnp.int32), jax.random.key(0), penalty.init())
        return values.mean(), (values, average)

    (_, (values, average)), gradient = run(g.params, golden["in/z"][:4])
    assert_close(values, golden["loss/Greg/Loss/G/reg"])
    assert_close(values / 2.0, golden["loss/Greg/Loss/pl_penalty"])
    assert_close(average, golden["loss/Greg/pl_mean_after"])
    assert_gradients(g, "Greg", golden, gradient)


def test_ds_loss_and_gradient_equal_the_reference(golden, d, d_phase):
    found, gradient = d_phase
    assert_close(found["loss"], golden["loss/Dmain/Loss/D/loss"][:, 0])
    assert_gradients(d, "Dmain", golden, gradient)


def test_r1_and_its_gradient_equal_the_reference(golden, d):
    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(params, x):
        values = 10.0 * penalties.r1(lambda x: d(params, x), x, x, jax.random.key(0))
        return values.mean(), values

    (_, values), gradient = run(d.params, nhwc(golden["in/x"]))
    assert_close(values, golden["loss/Dreg/Loss/D/reg"])
    assert_close(values / 5.0, golden["loss/Dreg/Loss/r1_penalty"])
    assert_gradients(d, "Dreg", golden, gradient)
