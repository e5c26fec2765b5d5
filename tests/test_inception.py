"""Inception-v3 of 2015-12-05: the numbers of torch-fidelity and pytorch-fid, on seeded weights.

`goldens/inception_fid.npz` holds what both computed on CPU in float64, PyTorch 2.13, on two images each of 32 pixels, of
48 times 80, and of 299 (23 pixels enlarged 13 times), and for the first what each layer made of them.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.seedweights import make

from jaxgan.evaluation.features import inception, inception_layers, resize

GOLDENS = Path(__file__).parent / "goldens" / "inception_fid.npz"
SIZES = ("in32", "in48x80", "in299")
ACCURATE = 5e-6  # of the largest value; float32 of another order of additions differs by 1e-6


@pytest.fixture(scope="module")
def goldens():
    with np.load(GOLDENS, allow_pickle=False) as file:
        found = dict(file)
    found["in299/uint8"] = found["in299/uint8_every13"].repeat(13, axis=1).repeat(13, axis=2)
    return found


@pytest.fixture(scope="module")
def tensors():
    return {name: make(name, tensor.shape) for name, tensor in inception.torch_layout().items()}


@pytest.fixture(scope="module")
def params(tensors):
    return jax.tree.map(jnp.asarray, inception.from_torch(tensors))


@pytest.fixture(scope="module")
def run():
    return jax.jit(inception.apply)


def distance(found, expected):
    return float(np.abs(np.asarray(found, np.float64) - expected).max() / np.abs(expected).max())


def changed(params, *unit, kernel):
    """The parameters with one kernel replaced."""
    block = {**params[unit[0]], unit[1]: {**params[unit[0]][unit[1]], "kernel": kernel}}
    return {**params, unit[0]: block}


# --------------------------------------------------------------------------------------------------------------- numbers


def test_the_weights_are_the_right_ones(goldens, tensors):
    names = sorted(name for name in tensors if "num_batches" not in name)
    sums = [[f(tensors[name].astype(np.float64)) for name in names] for f in (np.sum, lambda x: np.abs(x).sum())]
    np.testing.assert_allclose(sums, [goldens["param_sum64"], goldens["param_abssum64"]], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pipeline", [resize.tf1, resize.half_pixel], ids=lambda pipeline: pipeline.__name__)
def test_features_and_logits(goldens, params, run, size, pipeline):
    found = run(params, pipeline(goldens[f"{size}/uint8"]))
    assert {name: x.shape[1] for name, x in found.items()} == {
        **{name: int(name) for name in ("64", "192", "768", "2048")},
        **dict.fromkeys(("logits_unbiased", "logits"), 1008),
    }
    expected = {name: goldens[key] for name in found if (key := f"{size}/{pipeline.__name__}/{name}") in goldens}
    assert set(expected) == (set(found) if pipeline is resize.tf1 else {"64", "192", "768", "2048"})
    for name, values in expected.items():
        assert distance(found[name], values) < ACCURATE, name


def test_every_layer(goldens, params):
    @jax.jit
    def layers(params, x):
        def kept(module, method):
            return len(module.path) == 1 and method == "__call__"

        return inception.Inception().apply({"params": params}, x, capture_intermediates=kept)[1]["intermediates"]

    found = layers(params, resize.tf1(goldens["in32/uint8"]))
    names = sorted({key.split("/")[1] for key in goldens if key.startswith("tap/")})
    assert len(names) == 16
    for name in names:
        x = found[name]["__call__"][0]
        parts = (x.mean((1, 2)), x[0, :6, :6, :4], x[0, -6:, -6:, -4:])
        for part, key in zip(parts, ("chan_mean", "img0_first4ch_topleft6", "img0_last4ch_botright6"), strict=True):
            error = np.abs(part - goldens[f"tap/{name}/{key}"]).max()
            assert error < ACCURATE * x.max(), name


def mirrored(params):
    return changed(params, "Mixed_6c", "branch7x7_2", kernel=params["Mixed_6c"]["branch7x7_2"]["kernel"][:, ::-1])


def sides_swapped(params):
    a, b = (params["Mixed_7c"][f"branch3x3_2{side}"]["kernel"].transpose(1, 0, 2, 3) for side in "ab")
    return changed(changed(params, "Mixed_7c", "branch3x3_2a", kernel=b), "Mixed_7c", "branch3x3_2b", kernel=a)


@pytest.mark.parametrize("mistake", [mirrored, sides_swapped])
def test_a_misplaced_kernel_would_be_seen(goldens, params, run, mistake):
    found = run(mistake(params), resize.tf1(goldens["in32/uint8"]))
    assert distance(found["2048"], goldens["in32/tf1/2048"]) > 1e-2


def test_another_epsilon_would_be_seen(goldens, tensors, run, monkeypatch):
    monkeypatch.setattr(inception, "EPSILON", 1e-5)
    found = run(inception.from_torch(tensors), resize.tf1(goldens["in32/uint8"]))
    assert distance(found["2048"], goldens["in32/tf1/2048"]) > 1e-3


def test_another_scale_of_the_pixels_would_be_seen(goldens, params, run):
    found = run(params, resize.tf1(goldens["in32/uint8"]) * (128 / 127.5) + 0.5 / 127.5)
    assert distance(found["2048"], goldens["in32/tf1/2048"]) > 5e-4


# ---------------------------------------------------------------------------------------------------------------- layers


def windows(x, padding, outside):
    """All 3x3 windows of `[H, W]`, `[H', W', 9]`."""
    wide = np.pad(x, padding, constant_values=outside)
    return np.lib.stride_tricks.sliding_window_view(wide, (3, 3)).reshape(*np.array(wide.shape) - 2, 9)


@pytest.mark.parametrize("size", [(9, 8), (8, 9)])
@pytest.mark.parametrize("inputs", [3, 5])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((3, 3), 1, (0, 0)),
        ((3, 3), 2, (0, 0)),
        ((3, 3), 1, (1, 1)),
        ((1, 7), 1, (0, 3)),
        ((7, 1), 1, (3, 0)),
        ((1, 1), 1, (0, 0)),
    ],
)
def test_convolutions_are_the_same_on_every_backend(size, inputs, kernel, stride, padding):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((2, *size, inputs)).astype(np.float32)
    weights = draw.standard_normal((*kernel, inputs, 4)).astype(np.float32)
    found = inception_layers.conv(x, weights, stride=stride, padding=padding)
    pads = tuple((each, each) for each in padding)
    elsewhere = inception_layers._conv_of_xla(x, weights, stride=stride, pads=pads)
    np.testing.assert_allclose(found, elsewhere, rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", [(5, 8), (8, 7), (35, 4)])
def test_pooling(size):
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32) - 5.0  # no zero may come in from outside
    images = x[None, :, :, None]
    largest = windows(x, 0, 0).max(-1)
    np.testing.assert_array_equal(inception_layers.max_pool(images, stride=2)[0, :, :, 0], largest[::2, ::2])
    largest = windows(x, 1, -np.inf).max(-1)
    np.testing.assert_array_equal(inception_layers.max_pool(images, stride=1, padding=1)[0, :, :, 0], largest)
    mean = np.nanmean(windows(x, 1, np.nan), -1)
    np.testing.assert_allclose(inception_layers.mean_pool(images)[0, :, :, 0], mean, rtol=1e-6)
    counted = windows(x, 1, 0.0).mean(-1)
    assert abs(counted - mean).max() > 1.0  # what counting the padding would do


# ------------------------------------------------------------------------------------------------------------ state dict


def test_the_state_dict_is_folded_to_the_promised_shapes(params):
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(lambda x: (x.shape, x.dtype), inception.shapes())
    assert sum(x.size for x in jax.tree.leaves(params)) == 23_833_744
    assert {path[-1].key for path, _ in jax.tree.leaves_with_path(params)} == {"kernel", "bias"}


def test_folding_is_the_batch_normalisation():
    draw = np.random.default_rng(1)
    kernel, bias, scale, mean = (draw.standard_normal(shape) for shape in ((1, 1, 4, 3), 3, 3, 3))
    var, x = draw.uniform(0.1, 2.0, 3), draw.standard_normal(4)
    folded = inception._folded(kernel, bias, scale=scale, mean=mean, var=var)
    expected = (x @ kernel[0, 0] - mean) / np.sqrt(var + 1e-3) * scale + bias
    np.testing.assert_allclose(x @ folded["kernel"][0, 0] + folded["bias"], expected, rtol=1e-6)


def test_counters_may_be_missing(tensors):
    left = {name: x for name, x in tensors.items() if "num_batches" not in name}
    assert len(left) == 472
    inception.from_torch(left)


def test_what_is_wrong_with_a_state_dict_is_said_in_one_line(tensors):
    wrong = dict(tensors)
    del wrong["Mixed_6b.branch_pool.bn.running_var"]
    wrong["AuxLogits.fc.weight"] = np.zeros((1000, 768))
    wrong["fc.weight"] = wrong["fc.weight"][:1000]
    wrong["Mixed_7c.branch1x1.bn.bias"] = np.full(320, np.nan)
    with pytest.raises(ValueError) as caught:
        inception.from_torch(wrong)
    assert str(caught.value) == (
        "tensors: missing: Mixed_6b.branch_pool.bn.running_var; surplus: AuxLogits.fc.weight; "
        "misshaped: fc.weight (1000, 2048) for (1008, 2048); not finite: Mixed_7c.branch1x1.bn.bias"
    )


@pytest.mark.parametrize("shape", [(299, 299, 3), (1, 3, 299, 299), (1, 32, 32, 3), (1, 299, 299, 1)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"^images: shape \(.*\), but it must be \[B, 299, 299, 3\]$"):
        inception.apply({}, jnp.zeros(shape))
