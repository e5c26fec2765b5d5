"""Perceptrons: shapes, sizes of the published nets, and what the labels and the normalisations do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.nets import mlp
from jaxgan.nets.linen import from_linen

Z, LABELS = jnp.zeros((3, 16)), jnp.zeros(3, jnp.int32)


def count(module, *example):
    shapes = jax.eval_shape(lambda key: module.init(key, *example), jax.random.key(0))
    return sum(x.size for x in jax.tree.leaves(shapes["params"]))


def forward(module, *example, train=True):
    """Runs a module through the bridge, as training does: shapes only."""

    def run(key):
        network = from_linen(module, *example)
        labels = example[1] if len(example) == 2 else None
        return network.apply(*network.init(key), example[0], labels, key, train=train)

    return jax.eval_shape(run, jax.random.key(0))


@pytest.mark.parametrize("shape", [(2,), (8, 8, 1), (4, 6, 3)])
@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize("norm", ["batch", "none", "spectral"])
def test_shapes(shape, classes, norm):
    labels = (LABELS,) if classes else ()
    x = jnp.zeros((3, *shape))
    if norm != "spectral":
        assert forward(mlp.Generator((8, 8), shape, classes, norm), Z, *labels)[0].shape == x.shape
    logits, stats = forward(mlp.Discriminator((8, 8), classes, norm), x, *labels)
    assert logits.shape == (3,)
    assert list(stats) == {"batch": ["batch_stats"], "none": [], "spectral": ["spectral"]}[norm]


def test_pacgan_sizes():
    z, x = jnp.zeros((3, 2)), jnp.zeros((3, 2))
    # The paper's counts: no biases before batch normalisation, 5 linear pieces of 200 units.
    assert count(mlp.PACGAN_GENERATOR, z) == 2 * 400 + 3 * 400 * 400 + 4 * 2 * 400 + 400 * 2 + 2
    assert count(mlp.PACGAN_DISCRIMINATOR, x) == 3 * 1000 + 2 * 201 * 1000 + 201
    assert count(mlp.Generator(), z) == 3 * 256 + 257 * 256 + 257 * 2
    assert count(mlp.Discriminator(), x) == 3 * 256 + 257 * 256 + 257


def test_maxout_is_the_largest_of_linear_pieces():
    module = mlp.Discriminator(hidden=(4,), maxout=3)
    x = jax.random.normal(jax.random.key(0), (5, 2))
    params = module.init(jax.random.key(1), x)["params"]
    pieces = np.asarray(x @ params["hidden_0"]["kernel"]).reshape(5, 4, 3)
    expected = pieces.max(-1) @ params["logit"]["kernel"][:, 0]
    np.testing.assert_allclose(module.apply({"params": params}, x), expected, rtol=1e-5)


def test_images_are_in_range_and_labels_matter():
    generator, critic = mlp.Generator((32,), (4, 4, 1), classes=2), mlp.Discriminator((32,), classes=2)
    labels = jnp.arange(64) % 2

    @jax.jit
    def run(key):
        z = 5.0 * jax.random.normal(key, (64, 16))
        variables = generator.init(jax.random.key(1), z, labels)
        images, others = generator.apply(variables, z, labels), generator.apply(variables, z, 1 - labels)
        variables = critic.init(jax.random.key(2), images, labels)
        return images, others, critic.apply(variables, images, labels), critic.apply(variables, images, 1 - labels)

    images, other_images, logits, other_logits = run(jax.random.key(0))
    assert float(jnp.abs(images).max()) <= 1.0
    assert float(jnp.abs(images - other_images).max()) > 0.1
    assert float(jnp.abs(logits - other_logits).min()) > 0.0


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (mlp.Generator, {"hidden": ()}, r"hidden: \(\), but it must hold one or more widths of at least 1"),
        (mlp.Generator, {"hidden": (8, 0)}, r"hidden: \(8, 0\), but it must"),
        (mlp.Generator, {"output_shape": (0,)}, r"output_shape: \(0,\), but it must"),
        (mlp.Generator, {"classes": -1}, "classes: -1, but it must be 0"),
        (mlp.Generator, {"norm": "spectral"}, "norm: 'spectral' is not one of batch, none .*discriminator"),
        (mlp.Discriminator, {"norm": "layer"}, "norm: 'layer' is not one of batch, none, spectral"),
        (mlp.Discriminator, {"maxout": 0}, "maxout: 0, but it must be at least 1"),
        (mlp.Generator, {"hidden": 8}, "hidden: 8, but it must be a tuple of whole numbers"),
        (mlp.Discriminator, {"hidden": (8.5,)}, r"hidden: \(8.5,\), but it must be a tuple of whole numbers"),
    ],
)
def test_fields_are_checked(make, fields, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**fields)
    assert "\n" not in str(error.value)
