"""`.onnx` files: the function (z, labels, noise) -> images, as onnxruntime computes it, is the sampler's."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan import cli, recipes
from jaxgan.commands.export import export
from jaxgan.core.types import Network, Weights
from jaxgan.publishing import comparison, flatten, graph, onnx_file, operators
from jaxgan.system.messages import FieldError
from jaxgan.training import runs
from jaxgan.training.dataset import Shape
from jaxgan.training.sampler import Generator, generator_of, sampler

onnx = pytest.importorskip("onnx", reason="needs jaxgan[onnx]")
pytest.importorskip("onnxruntime", reason="needs jaxgan[onnx]")

NETWORKS = {
    "mlp": (recipes.MLP(width=8, depth=1, latent_dim=4), (8, 8, 1), 10),
    "dcgan": (recipes.DCGAN(width=4, latent_dim=4), (8, 8, 3), 3),
    "sngan": (recipes.SNGAN(width=4, latent_dim=4), (32, 32, 3), 0),
    "resnet": (recipes.ResNet(width=4, latent_dim=4), (16, 16, 1), 2),
    "r3gan": (recipes.R3GAN(latent_dim=4, widths=(8, 8), blocks=(1, 1), groups=(2, 2), bfloat16_levels=1), (8, 8, 3), 3),
    "stylegan2": (recipes.StyleGAN2(latent_dim=4, channel_base=64, channel_max=8, style_dim=4, depth=1), (8, 8, 3), 3),
}


def built(part: Any, sample: tuple[int, ...], classes: int) -> tuple[Generator, Weights]:
    generator = generator_of(recipes.Recipe(generator=part), Shape(sample, classes), tuple(map(str, range(classes))))
    return generator, jax.jit(lambda: Weights(*generator.generator.init(jax.random.key(3))))()


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_makes_the_samplers_pictures_in_batches_of_any_size(name: str) -> None:
    generator, weights = built(*NETWORKS[name])
    content, apart = onnx_file.to_bytes(generator, weights, {})
    assert apart.mean < (0.005 if name == "r3gan" else 1e-4)
    z = np.asarray(jax.random.normal(jax.random.key(1), (3, 4)))
    ours = sampler(generator, weights)(z=z)
    inputs = {"z": z, "labels": np.asarray(ours.labels)}
    made = comparison.run(content, inputs)
    assert made.dtype == np.uint8
    off = np.abs(made.astype(int) - ours.images.astype(int))
    assert off.max() <= (12 if name == "r3gan" else 1)
    np.testing.assert_array_equal(comparison.run(content, {key: each[1:2] for key, each in inputs.items()}), made[1:2])
    taken = {each.name for each in onnx.load_from_string(content).graph.input}
    assert taken == ({"z", "labels"} if NETWORKS[name][2] else {"z"})


def drawing(function: Callable[..., jax.Array]) -> tuple[Generator, Weights]:
    """A generator of points that is `function(key, z)`."""

    def apply(params: Any, stats: Any, z: jax.Array, labels: jax.Array, key: jax.Array, /, *, train: bool) -> Any:
        return function(key, z * params["scale"]), stats

    network = Network(lambda key: ({"scale": jnp.ones(())}, {}), apply)
    generator = Generator(network, 3, jax.random.normal, Shape((3,), 0), (), 1, None)
    return generator, Weights({"scale": jnp.asarray(2.0)}, {})


def test_what_a_generator_draws_is_an_input() -> None:
    def noisy(key: jax.Array, z: jax.Array) -> jax.Array:
        kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, z.shape)
        wide = jax.random.uniform(jax.random.fold_in(key, 2), z.shape, minval=-3.0, maxval=5.0)

        def more(x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            x = x + jax.random.normal(key, x.shape)
            return x, x

        last, every = lax.scan(more, jnp.where(kept, z, wide), jax.random.split(key, 2))
        return last + every.sum(axis=0)

    generator, weights = drawing(noisy)
    content, apart = onnx_file.to_bytes(generator, weights, {})
    assert apart.most < 1e-5
    model = onnx.load_from_string(content)
    assert [each.name for each in model.graph.input] == ["z", *(f"noise_{i}" for i in range(4))]
    told = json.loads(model.metadata_props[0].value)["inputs"]
    assert [told[f"noise_{i}"].split()[0] for i in range(4)] == ["uniform", "uniform", "normal", "normal"]
    z, one = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    given = {"z": z, "noise_0": one, "noise_1": one / 4, "noise_2": one, "noise_3": 2 * one}
    # Not kept, so -1 of the uniform number; then 0 and 2; the last and the sum of both.
    np.testing.assert_allclose(comparison.run(content, given), np.full((2, 3), 2.0 + (0.0 + 2.0)), atol=1e-5)
    assert not any(each.op_type.startswith("Random") for each in model.graph.node)

    def unused(key: jax.Array, z: jax.Array) -> jax.Array:
        jax.random.gamma(key, 2.0, (3,))  # which nothing rests on
        return jnp.tanh(z)

    content, _ = onnx_file.to_bytes(*drawing(unused), {})
    assert [each.name for each in onnx.load_from_string(content).graph.input] == ["z"]


REFUSED = [
    (lambda key, z: z + jax.random.randint(key, (1, 3), 0, 9), "draws random numbers by random_"),
    (lambda key, z: z * jax.random.bits(key, z.shape).astype(jnp.float32), "draws random numbers by"),
    (lambda key, z: lax.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, z), "it has a loop of no fixed length"),
    (lambda key, z: lax.cond(z.sum() > 0, lambda x: x, lambda x: -x, z), "it has a branch chosen by its data"),
    (lambda key, z: lax.lgamma(z), "it computes lgamma; its ONNX form"),
    (lambda key, z: jnp.sort(z, axis=1), "it computes sort"),
]


@pytest.mark.parametrize(("function", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_cannot_be_written_is_named(function: Callable[..., jax.Array], told: str) -> None:
    with pytest.raises(FieldError, match="generator: ") as caught:
        onnx_file.to_bytes(*drawing(function), {})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def convolved(
    x: jax.Array, shape: tuple[int, ...], strides: Any, pads: Any, spread: Any, layout: str, kernel: str
) -> jax.Array:
    filters = jnp.arange(float(np.prod(shape))).reshape(shape) / 10.0
    return lax.conv_general_dilated(x, filters, strides, pads, spread, dimension_numbers=(layout, kernel, layout))


@jax.custom_vjp
def with_a_gradient_of_its_own(x: jax.Array) -> jax.Array:
    return jnp.sin(x) + jnp.cos(x) * jnp.tan(x / 9)


with_a_gradient_of_its_own.defvjp(lambda x: (x, x), lambda x, dx: (dx,))


FUNCTIONS: list[Callable[[jax.Array], Any]] = [
    lambda x: jnp.log1p(jnp.expm1(jnp.abs(x))) + jnp.exp2(x) - lax.rsqrt(jnp.square(x) + 1.0),
    lambda x: lax.erf(x) * jax.scipy.special.erfc(x) + x**3 + x**-2.0 + jax.nn.sigmoid(x),
    lambda x: jnp.round(x * 3) + lax.round(x * 3) + jnp.sign(x) + jnp.floor(x) + jnp.ceil(x) + jnp.fmod(x, 0.7),
    lambda x: jnp.where((x > 0) & ~(x > 1) | (x != x), jnp.clip(x, 0.1, 0.4), jnp.minimum(x, -0.3)),
    lambda x: jnp.isfinite(x).astype(jnp.float32) + (x * 9).astype(jnp.int32).astype(jnp.float32) + jax.nn.leaky_relu(x, 0.3),
    lambda x: jnp.where(x > 0, x, 0.2 * x) + jnp.where(x > 1, x, 0.2 * x) + jnp.where(x > 0, 0.2 * x, x),
    lambda x: x.sum(axis=(1, 2), keepdims=True) + x.max(axis=2, keepdims=True) - x.min(axis=1, keepdims=True),
    lambda x: x.prod(axis=1)[:, None],
    lambda x: jnp.argmax(x, axis=1).astype(jnp.float32) + jnp.cumsum(x, axis=1)[:, 2] + jnp.flip(x, (1, 2))[:, 0],
    lambda x: jnp.concatenate([x[:, ::2, 1:], jnp.stack([x[:, 0, 1:], x[:, 1, :-1]], axis=1)], axis=1).transpose(2, 0, 1),
    lambda x: lax.pad(x, 0.5, [(0, 0, 0), (2, -1, 1), (-1, 3, 2)]) * 2.0,
    lambda x: jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2) + jnp.arange(8.0)[None, None, :],
    lambda x: jnp.einsum("bij,bkj->bik", x, x * 2) @ jnp.ones((3, 2)) + jnp.tensordot(x, jnp.ones((2, 4)), ((2,), (1,))),
    lambda x: sum(jnp.unstack(x, axis=2)) + jnp.split(x, [1, 3], axis=2)[1].sum(axis=2),
    lambda x: jnp.arange(4.0)[(x * 0).astype(jnp.int32) + 2] + jnp.take(x, jnp.array([2, 0, 1]), axis=1),
    lambda x: jax.nn.one_hot((x[:, 0, 0] > 0).astype(jnp.int32), 3) + x.reshape(x.shape[0] * 3, 4)[:1, :3],
    lambda x: jnp.broadcast_to(x[:, :1], x.shape) + jnp.ones((x.shape[0], 3, 1)) * jnp.broadcast_to(jnp.float32(2), x.shape),
    lambda x: convolved(x[..., None], (3, 3, 1, 2), (1, 2), [(2, 1), (1, 1)], (2, 1), "NHWC", "HWIO"),
    lambda x: convolved(x, (2, 3, 4), (1,), [(1, 0)], (1,), "NCW", "WIO"),
    lambda x: jax.checkpoint(lambda y: jax.nn.gelu(y) + jax.nn.softplus(y))(x) + jax.nn.silu(x) + jax.nn.softmax(x, axis=-1),
    lambda x: with_a_gradient_of_its_own(x) + jax.jit(jnp.sinh)(x),
    lambda x: (x.astype(jnp.bfloat16) @ jnp.ones((4, 4), jnp.bfloat16)).astype(jnp.float32),
    lambda x: lax.scan(lambda c, y: (c + y, c * y), x[:, 0], x.transpose(1, 0, 2), reverse=True)[1],
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(FUNCTIONS)))
def test_operators_compute_what_primitives_do(place: int) -> None:
    from jax import export as jax_export
    from onnx import helper, numpy_helper

    function = FUNCTIONS[place]
    (batch,) = jax_export.symbolic_shape(graph.BATCH)
    flat = flatten.flatten(lambda key, x: function(x), [jax.ShapeDtypeStruct((batch, 3, 4), jnp.float32)])
    made = graph.Graph("x")
    made.add("Identity", operators.translate(made, flat, ["x"]), name="y")
    made.drop_unused("y")
    sides = [side if isinstance(side, int) else str(side) for side in flatten.kind_of(flat.output).shape]
    of = [helper.make_tensor_value_info("x", 1, [graph.BATCH, 3, 4]), helper.make_tensor_value_info("y", 1, sides)]
    arrays = [numpy_helper.from_array(array, name) for name, array in made.arrays.items()]
    model = helper.make_model(
        helper.make_graph(made.nodes, "f", of[:1], of[1:], arrays),
        opset_imports=[helper.make_opsetid("", graph.OPSET)],
        ir_version=graph.IR_VERSION,
    )
    onnx.checker.check_model(model)
    for count in (2, 5):
        x = np.asarray(jax.random.normal(jax.random.key(count), (count, 3, 4)))
        wanted = np.asarray(function(jnp.asarray(x)))
        found = comparison.run(model.SerializeToString(), {"x": x})
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=0.05 if flat.widened else 1e-5)


def test_a_run_in_an_onnx_file(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = {}
    for precision in ("float32", "float16", "int8"):
        out = export(tiny_run, out=f"{precision}.onnx", precision=precision)
        sizes[precision] = out.stat().st_size
    model = onnx.load(tmp_path / "float32.onnx")
    assert sizes["int8"] < sizes["float32"]
    assert sizes["float16"] < sizes["float32"]
    (held,) = model.metadata_props
    about, run = json.loads(held.value), runs.read(tiny_run)
    assert held.key == "jaxgan"
    assert about["generator"]["class_names"] == list(run.class_names)
    assert about["recipe"] == recipes.to_dict(run.recipe)
    assert about["step"] == 12
    assert {"jaxgan", "jax", "onnx", "onnxruntime"} == set(about["versions"])
    ours = run.sampler()(n=20, seed=7)
    z = run.sampler().functions.latents(7, np.arange(20, dtype=np.int32))
    inputs = {"z": np.asarray(z), "labels": np.asarray(ours.labels)}
    assert (comparison.run((tmp_path / "float32.onnx").read_bytes(), inputs) == ours.images).mean() > 0.999

    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(comparison, "LIMITS", {"float32": (0.0, 0.0), "float16": (1e-9, 1e-9)})
    with pytest.raises(FieldError, match=r"differ from the sampler's by .* with float16 weights 0.0% and 0.0% are allowed"):
        export(tiny_run, out="float16.onnx", precision="float16")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_data_sets_units_and_conditions() -> None:
    generator, weights = drawing(lambda key, z: jnp.tanh(z))
    about = generator.about._replace(units=("int16", (-100.0, 0.0, -1.0), (100.0, 8.0, 1.0)))

    def apply(params: Any, stats: Any, z: jax.Array, given: Any, key: jax.Array, /, *, train: bool) -> Any:
        return jnp.tanh(z + given["a"] + given["b"][:, None].astype(jnp.float32)), stats

    network = Network(generator.generator.init, apply)
    form = {"a": jax.ShapeDtypeStruct((3,), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.int32)}
    from jaxgan.core.units import Units

    given = Generator(network, 3, jax.random.normal, Shape((3,), 0, form), (), 1, None, Units(*about.units))
    content, apart = onnx_file.to_bytes(given, weights, {})
    assert apart.most < 0.02
    rng = np.random.default_rng(0)
    a, b, z = (
        rng.normal(size=(4, 3)).astype(np.float32),
        np.arange(4, dtype=np.int32),
        rng.normal(size=(4, 3)).astype(np.float32),
    )
    made = comparison.run(content, {"z": z, "condition/a": a, "condition/b": b})
    wanted = sampler(given, weights)(z=z, condition={"a": a, "b": b}).images
    assert made.dtype == wanted.dtype == np.int16
    np.testing.assert_array_equal(made, wanted)


def test_without_the_packages_the_command_is_named(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["export", str(tiny_run), "--out", str(tmp_path / "g.onnx")])
    assert capsys.readouterr().err.splitlines() == [
        "jaxgan export: out: .onnx: it is written with onnx and compared with onnxruntime: pip install 'jaxgan[onnx]'"
    ]
    assert list(tmp_path.iterdir()) == []


SCRIPT = """import sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
z = np.load(sys.argv[2])
np.save(sys.argv[3], session.run(None, {"z": z, "labels": np.arange(len(z), dtype=np.int32)})[0])
"""


def test_onnxruntime_and_numpy_are_enough(tiny_run: Path, tmp_path: Path) -> None:
    out = export(tiny_run, out=tmp_path / "g.onnx", precision="float16")
    z = np.asarray(jax.random.normal(jax.random.key(5), (3, 8)))
    np.save(tmp_path / "z.npy", z)
    (tmp_path / "script.py").write_text(SCRIPT)
    blocked = str(Path(__file__).parent / "blocked.py")
    words = [str(tmp_path / name) for name in ("script.py", "g.onnx", "z.npy", "made.npy")]
    command = [sys.executable, blocked, "onnxruntime,numpy", *words]
    of = {name: each for name, each in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=of, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert out.is_file()
    off = np.load(tmp_path / "made.npy").astype(int) - runs.read(tiny_run).sampler()(z=z, labels=[0, 1, 2]).images
    assert np.abs(off).max() <= 3
