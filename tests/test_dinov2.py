"""DINOv2: the numbers of transformers' model, the authors' positions, and both ways of naming its tensors.

`goldens/dinov2_tiny.npz` holds what `benchmarks/dinov2_against_transformers.py --golden` computed with torch 2.13 and
transformers 5.24 on CPU: the published names and shapes of a model of width 32, and its class tokens of images of three sizes,
weights and images by name as in `goldens/seedweights.py`; and position embeddings interpolated as the authors' code does it.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens.seedweights import make, raw
from PIL import Image

from jaxgan.evaluation.features import dinov2, published

NAMES = {"cls_token", "mask_token", "position_embeddings"}


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "goldens" / "dinov2_tiny.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def tensors(golden):
    """By Hugging Face's names."""
    found = {}
    for name, words in zip(golden["names"].tolist(), golden["shapes"].tolist(), strict=True):
        shape = tuple(map(int, words.split()))
        found[name] = (0.5 * raw(name, shape)).astype(np.float32) if name.split(".")[-1] in NAMES else make(name, shape)
    return found


def by_the_authors(tensors):
    """The same tensors as the authors name and join them."""
    parts = (
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.", ""),
        ("encoder.layer.", "blocks."),
        ("attention.output.dense", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("layernorm.", "norm."),
    )
    found = {}
    for name, x in tensors.items():
        if ".attention.attention." in name:
            continue
        for theirs, authors in parts:
            name = name.replace(theirs, authors)
        found[name] = x
    for i in (0, 1):
        for kind in ("weight", "bias"):
            joint = [tensors[f"encoder.layer.{i}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            found[f"blocks.{i}.attn.qkv.{kind}"] = np.concatenate(joint)
    return found


def module(side=16, **changes):
    return dinov2.DINOv2(**{"width": 32, "depth": 2, "heads": 4, "side": side} | changes)


@pytest.mark.parametrize(("side", "count"), [(7, 3), (16, 2), (37, 1)])
def test_features_are_those_of_transformers(golden, tensors, side, count):
    params = dinov2.from_torch(tensors, module(side), offset=0.0)
    images = raw(f"images_{side}", (count, 3, 14 * side, 14 * side)).astype(np.float32).transpose(0, 2, 3, 1)
    found = jax.jit(module(side).apply)({"params": params}, images)
    expected = golden[f"features_{side}"]
    assert found.dtype == jnp.float32
    assert found.shape == expected.shape == (count, 32)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_faint_tokens_are_normalised_as_in_transformers(golden, tensors):
    """Their variance is near what the first norm adds to it."""
    faint = {name: x * np.float32(1e-3) if name.startswith("embeddings.") else x for name, x in tensors.items()}
    params = dinov2.from_torch(faint, module(7), offset=0.0)
    images = raw("images_7", (3, 3, 98, 98)).astype(np.float32).transpose(0, 2, 3, 1)
    expected = golden["features_faint"]
    found = jax.jit(module(7).apply)({"params": params}, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("side", [7, 16, 40])
def test_positions_are_those_of_the_authors_code(golden, side):
    positions = raw("positions", (1 + 37**2, 4)).astype(np.float32)
    found, expected = dinov2.interpolate(positions, side), golden[f"hub_{side}"]
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[0], positions[0])  # the class token's
    # PyTorch computes the places to read at in float32.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    assert np.abs(dinov2.interpolate(positions, side, offset=0.0) - expected).max() > 1e-3 * np.abs(expected).max()


def test_positions_of_the_trained_size_stay_as_they_are(tensors):
    params = dinov2.from_torch(tensors, module(37))
    np.testing.assert_array_equal(params["position"], tensors["embeddings.position_embeddings"][0])


def test_both_ways_of_naming_give_the_same_parameters(tensors):
    theirs, authors = dinov2.from_torch(tensors, module()), dinov2.from_torch(by_the_authors(tensors), module())
    assert jax.tree.structure(theirs) == jax.tree.structure(authors)
    jax.tree.map(np.testing.assert_array_equal, theirs, authors)
    expected = dinov2.interpolate(tensors["embeddings.position_embeddings"][0], 16, offset=0.1)
    np.testing.assert_array_equal(theirs["position"], expected)  # FD-DINOv2 is of the authors' own


def test_parameters_are_those_that_the_module_has(tensors):
    example = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    expected = jax.eval_shape(module().init, jax.random.key(0), example)["params"]
    found = dinov2.from_torch(tensors, module())
    assert jax.tree.map(lambda x: (x.shape, x.dtype), found) == jax.tree.map(lambda x: (x.shape, x.dtype), expected)


@pytest.mark.parametrize(
    ("made", "file"), [(dinov2.BASE, published.DINOV2_B), (dinov2.LARGE, published.DINOV2_L)], ids=["base", "large"]
)
def test_the_published_files_are_as_large_as_the_networks(made, file):
    params = jax.eval_shape(made.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))["params"]
    count = sum(x.size for x in jax.tree.leaves(params))
    # A file also has the mask token and the positions of 37 x 37 patches; and a header, about 100 bytes a tensor.
    numbers = count + made.width * (1 + 37**2 - 16**2)
    assert 0 < file.size - 4 * numbers < 150 * (7 + 18 * made.depth)


def test_images_of_a_batch_do_not_meet(tensors):
    variables = {"params": dinov2.from_torch(tensors, module(7))}
    images = raw("images_7", (3, 98, 98, 3)).astype(np.float32)
    apply = jax.jit(module(7).apply)
    together, alone = apply(variables, images), [apply(variables, images[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(together, jnp.stack(alone), atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_a_module_takes_one_size_of_images(tensors):
    with pytest.raises(ValueError, match=r"^x: shape \(1, 3, 224, 224\), but it must be \(B, 224, 224, 3\)"):
        module().apply({"params": dinov2.from_torch(tensors, module())}, jnp.zeros((1, 3, 224, 224)))


def test_the_mask_token_may_be_missing(tensors):
    """It is for training only."""
    without = {name: x for name, x in tensors.items() if name != "embeddings.mask_token"}
    jax.tree.map(np.testing.assert_array_equal, dinov2.from_torch(without, module()), dinov2.from_torch(tensors, module()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("layernorm.bias"), "^tensors: missing: layernorm.bias$"),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "^tensors: surplus: extra$"),
        (
            lambda t: t.update({"embeddings.position_embeddings": np.zeros((1, 1371, 32), np.float32)}),
            r"^tensors: misshaped: embeddings.position_embeddings \(1, 1371, 32\) for \(1, 1370, 32\)$",
        ),
        (
            lambda t: t.update({"encoder.layer.1.mlp.fc1.bias": np.full(128, np.nan, np.float32)}),
            "^tensors: not finite: encoder.layer.1.mlp.fc1.bias$",
        ),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(tensors, change, message):
    changed = dict(tensors)
    change(changed)
    with pytest.raises(ValueError, match=message):
        dinov2.from_torch(changed, module())


@pytest.mark.parametrize("size", [(32, 32), (256, 300)])
def test_images_come_in_as_the_papers_code_has_them(size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    found = jax.jit(dinov2.preprocess)(images)
    assert (found.shape, found.dtype) == ((2, 224, 224, 3), jnp.float32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for image, x in zip(images, np.asarray(found), strict=True):
        planes = [
            Image.fromarray(image[..., c].astype(np.float32)).resize((224, 224), Image.Resampling.BICUBIC) for c in range(3)
        ]
        expected = np.clip(np.stack(planes, -1), 0, 255) / 255
        np.testing.assert_allclose(x * deviation + mean, expected, atol=2e-6)


def test_grey_images_are_repeated_and_others_refused():
    grey = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_allclose(dinov2.preprocess(grey), dinov2.preprocess(np.repeat(grey, 3, axis=-1)), atol=5e-6)
    for shape in ((28, 28, 3), (2, 28, 28, 2)):
        with pytest.raises(ValueError, match=r"^images: shape \(.*\), but it must be \[B, H, W, 3\] or \[B, H, W, 1\]$"):
            dinov2.preprocess(np.zeros(shape, np.float32))
