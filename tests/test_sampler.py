"""A generator to hold: three forms, any number of samples, and mistakes in one line."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxgan
from jaxgan.latent import kept, opened
from jaxgan.training import runs
from jaxgan.training.run import _HELD
from jaxgan.weights import generator_files, portable
from jaxgan.weights.portable import Sampler


@pytest.fixture(scope="module")
def sampler(tiny_run: Path) -> Sampler:
    return jaxgan.load_sampler(tiny_run)


def test_three_programs_serve_any_number(sampler: Sampler, tiny_run: Path, tmp_path: Path) -> None:
    whole = sampler(64, seed=5, labels=[3, 8])
    assert whole.shape == (64, 8, 8, 1)
    assert whole.dtype == np.uint8
    assert whole.names[:3] == ["3", "8", "3"]
    for n in (1, 7, 16, 5, 33):
        part = sampler(n, seed=5, labels=[3, 8])
        assert len(part) == n
        assert (part.images == whole.images[:n]).mean() >= 0.999
    shapes: set[int] = set()

    def noted(seed: int, z: Any, *rest: Any) -> Any:
        shapes.add(len(z))
        return sampler.functions.images(seed, z, *rest)

    counting = dataclasses.replace(sampler, functions=sampler.functions._replace(images=noted))
    for n in (1, 7, 16, 5, 64, 33, 12, 100):
        counting(n)
    assert shapes == set(sampler.sizes) == {2, 8, 64}  # a program for each; two devices share a batch
    # The command draws the same.
    out = jaxgan.sample(tiny_run, n=64, seed=5, labels=[3, 8], out=tmp_path / "x.npz")
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["images"], whole.images)


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (7, [8]), (16, [8, 8]), (40, [64]), (65, [64, 1]), (130, [64, 64, 8])])
def test_batches_compute_little_that_does_not_count(count: int, sizes: list[int]) -> None:
    left, found = count, []
    while left > 0:
        found.append(portable.fitting(left, portable.SIZES))
        left -= found[-1]
    assert found == sizes


def test_labels_and_latents(sampler: Sampler) -> None:
    threes = sampler(4, seed=1, labels=3)
    for same in ("3", [3], np.array([3, 3, 3, 3]), np.int64(3)):
        np.testing.assert_array_equal(threes.images, sampler(4, seed=1, labels=same).images)
    assert sampler(12).labels.tolist() == [*range(10), 0, 1]
    z = np.asarray(sampler.functions.latents(1, np.arange(4, dtype=np.int32)))
    np.testing.assert_array_equal(sampler(seed=1, labels=3, z=z).images, threes.images)
    narrow = sampler(64, labels=3, truncation=0.05).images.astype(float).std(axis=0).mean()
    assert narrow < 0.3 * sampler(64, labels=3).images.astype(float).std(axis=0).mean()
    for none in (np.inf, 1e300):  # which is beyond the largest float32
        np.testing.assert_array_equal(sampler(4, seed=1, labels=3, truncation=none).images, threes.images)
    assert "of 3" in repr(threes)
    np.testing.assert_array_equal(np.asarray(threes), threes.images)
    np.testing.assert_array_equal(threes[1:3], threes.images[1:3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 42}, "labels: 42, but the classes are 0 to 9"),
        ({"labels": -1}, "labels: -1, but the classes are 0 to 9"),
        ({"labels": "cat"}, "labels: cat, but the classes are 0 to 9"),
        ({"labels": [1, 2.5]}, "labels: 2.5, but the classes are 0 to 9"),
        ({"labels": []}, "labels: of shape"),
        ({"labels": [[1]]}, "labels: of shape"),
        ({"n": 0}, "n: 0, but it must be a whole number from 1"),
        ({"n": 2.0}, "n: 2.0, but it must be a whole number"),
        ({"seed": 2**32}, "seed: 4294967296"),
        ({"z": np.zeros((3, 7))}, r"z: of shape \[3, 7\], but it must be \[N, 8\]"),
        ({"z": np.full((3, 8), np.nan)}, "z: it holds values that are not finite"),
        ({"z": "zero"}, "z: str, but it must be an array of numbers"),
        ({"z": np.zeros((3, 8)), "n": 4}, "n: 4, but z holds 3 latents"),
        ({"truncation": 0}, "truncation: 0, but as a threshold of z it must be above 0"),
        ({"truncation": "much"}, "truncation: 'much'"),
    ],
)
def test_mistakes_are_one_line(sampler: Sampler, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        sampler(**options)
    assert "\n" not in str(caught.value)


def test_names_of_classes_are_told_and_guessed(sampler: Sampler) -> None:
    names = ("cat", "dog", "bird", "a", "b", "c", "d", "e", "f", "0")
    named = Sampler(sampler.functions, sampler.about._replace(class_names=names))
    assert named.conditions(["dog", 2, "3", "0"]) == [1, 2, 3, 9]  # a name before a number
    assert named.conditions("cat,dog") == [0, 1]
    with pytest.raises(ValueError, match=r"labels: dgo, but the classes are 0 cat, 1 dog, .*; did you mean 'dog'\?"):
        named.conditions("dgo")
    free = Sampler(sampler.functions, sampler.about._replace(classes=0, class_names=()))
    with pytest.raises(ValueError, match="unconditional and takes none"):
        free.conditions(3)


def test_threads_draw_what_one_draws(sampler: Sampler) -> None:
    wanted = [sampler(9, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: sampler(9, seed=seed), range(8)))
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_a_file_of_weights_gives_the_same_without_d(sampler: Sampler, tiny_run: Path, tmp_path: Path) -> None:
    out = jaxgan.export(tiny_run, out=tmp_path / "g.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxgan.training.tensors.build", lambda *_, **__: pytest.fail("all of it was built"))
        found = jaxgan.load_sampler(out)
    np.testing.assert_array_equal(found(20, seed=3).images, sampler(20, seed=3).images)
    assert jaxgan.sample(out, n=4).name == "g-sample-0.png"
    with pytest.raises(ValueError, match=r"member: 1, but g.safetensors holds one generator"):
        jaxgan.load_sampler(out, member=1)


def test_files_of_one_generator_have_one_table(tmp_path: Path) -> None:
    (tmp_path / "g.onnx").write_bytes(b"")
    told = r"run: g\.onnx, but it must be a run or a \.safetensors or \.jaxgan file; onnxruntime\.InferenceSession\('g\.onnx'\)"
    with pytest.raises(ValueError, match=told):
        jaxgan.load_sampler(tmp_path / "g.onnx")
    with pytest.raises(ValueError, match=r"run: g\.onnx, but it must be a run or a \.safetensors file; onnxruntime"):
        opened.read(tmp_path / "g.onnx")
    for suffix in generator_files.FORMS:
        assert kept.folder_of(tmp_path / f"g{suffix}") == tmp_path / "g-directions"
    (tmp_path / "r.onnx").mkdir()  # a run may be called anything
    assert kept.folder_of(tmp_path / "r.onnx") == tmp_path / "r.onnx" / "directions"
    with pytest.raises(FileNotFoundError, match=r"r\.onnx is not a run"):
        jaxgan.load_sampler(tmp_path / "r.onnx")


def test_a_run_samples_in_a_line_and_compiles_once(tiny_run: Path) -> None:
    run = runs.read(tiny_run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxgan.training.assembly.make_gan", lambda *_, **__: pytest.fail("all of it was built"))
        first = run.sample(n=16, seed=0, labels=3)
    built = [id(each) for each in _HELD.values()]
    png = run.sample(n=20)._repr_png_()
    assert [id(each) for each in _HELD.values()] == built
    assert png is not None
    assert png.startswith(b"\x89PNG")
    gan, state = loaded = jaxgan.load(run)
    np.testing.assert_array_equal(loaded.sample(n=16, seed=0, labels=3).images, first.images)
    assert loaded.gan is gan
    assert loaded.state is state
    with pytest.raises(ValueError, match=r"member: 1, but the run's members are 0 to 0"):
        run.sample(member=1)


def test_what_a_file_needs_not_is_not_loaded(tmp_path: Path) -> None:
    code = "import sys; from jaxgan.commands.sampler import load_sampler\ntry: load_sampler('no.jaxgan')\n"
    code += "except FileNotFoundError: print(sorted({'flax', 'optax', 'orbax', 'tensorflow_datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "[]"


def test_samples_compute_and_compare_as_an_array_does() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    samples = portable.Samples(images, np.zeros(3, np.int32), portable.About((2, 2, 1), 0, (), 4, "float32", mapped=False))
    assert (samples == images).all()
    assert ((samples / 255.0) == images / 255.0).all()
    assert ((1.0 - samples) == 1.0 - images).all()
    assert (samples.mean(), samples.min(), samples.reshape(3, -1).shape, samples.ndim) == (5.5, 0, (3, 4), 4)
    assert np.asarray(samples, np.float32).dtype == np.float32
    with pytest.raises(AttributeError, match="nothing"):
        print(samples.nothing)


def test_a_missing_file_is_reported_whatever_its_form(tmp_path: Path) -> None:
    for name in ("g.onnx", "g.jaxgan", "g.safetensors"):
        with pytest.raises(FileNotFoundError, match=rf"{name}: there is no such file"):
            jaxgan.load_sampler(tmp_path / name)
