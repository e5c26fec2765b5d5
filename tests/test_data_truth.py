"""The truth about data: what a folder or an array holds is told, recorded and compared, and nothing is lost in silence."""

import dataclasses
import json
import logging
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import data
from jaxgan.commands.evaluate import evaluate
from jaxgan.commands.sample import sample
from jaxgan.recipes import MLP, Data, MLPDiscriminator, Recipe
from jaxgan.recipes.record import read as recorded

TINY = Recipe(
    generator=MLP(width=4, depth=1, latent_dim=2),
    discriminator=MLPDiscriminator(width=4, depth=1),
    batch_size=4,
    steps=2,
    log_interval=2,
    sample_interval=2,
    checkpoint_interval=2,
)


def save(path: Path, level: int, *shape: int, dtype=np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape or (8, 8, 3), level, dtype)).save(path)


def classes(root: Path, *names: str, count: int = 8) -> Path:
    for level, name in enumerate(names):
        for i in range(count):
            save(root / name / f"{i}.png", 60 * level + i)
    return root


def test_a_run_tells_and_records_its_data_and_draws_a_class_by_name(tmp_path, caplog):
    root = classes(tmp_path / "set", "cat", "dog")
    save(root / "preview.png", 0)
    recipe = dataclasses.replace(TINY, data=Data(f"folder:{root}", conditional=True))
    with caplog.at_level(logging.INFO, "jaxgan"):
        run = jaxgan.train(recipe, tmp_path / "run")
    (line,) = [each.getMessage() for each in caplog.records if each.getMessage().startswith("data: ")]
    assert line == f"data: folder:{root}: 16 samples of 8x8x3, uint8 from 0 to 67; 2 classes: 0 cat (8), 1 dog (8), from {root}"
    assert "left out 1 beside the class folders: preview.png" in caplog.text
    content = json.loads((run.path / "recipe.json").read_text())["data"]
    assert (content["class_names"], content["counts"], content["range"]) == (["cat", "dog"], [8, 8], [0, 67])
    assert len(content["fingerprint"]) == 64
    for asked, place in (["dog"], 1), ([1], 1), (["0"], 0):
        with np.load(sample(run.path, n=2, labels=asked, out=tmp_path / "a.npz")) as drawn:
            assert drawn["labels"].tolist() == [place] * 2
    with pytest.raises(ValueError, match=r"^labels: dg, but the classes are 0 cat, 1 dog; did you mean 'dog'\?$"):
        sample(run.path, labels=["dg"], out=tmp_path / "a.npz")

    # The same again is the same; other pictures are not.
    (root / "dog" / "7.png").rename(root / "dog" / "8.png")
    jaxgan.train(recipe, tmp_path / "run")
    more = dataclasses.replace(recipe, steps=4)
    save(root / "dog" / "9.png", 200)
    with pytest.raises(ValueError, match=r"with other data \(samples 16 -> 17; samples of each class 8 8 -> 8 9; values from"):
        jaxgan.train(more, tmp_path / "run")
    (root / "dog" / "9.png").unlink()
    save(root / "dog" / "3.png", 61)
    with pytest.raises(ValueError, match=r"\(as many samples, but their content is another\): name another folder .*--change"):
        jaxgan.train(more, tmp_path / "run")
    jaxgan.train(more, tmp_path / "run", change=True)
    (change,) = recorded(run.path).changes
    assert change["step"] == 2
    assert list(change["data"]) == ["fingerprint"]
    jaxgan.train(more, tmp_path / "run")  # what was changed to is what is compared with

    # A run of an earlier version has no fingerprint, and goes on.
    file = run.path / "recipe.json"
    whole = json.loads(file.read_text())
    for name in ("fingerprint", "units", "counts", "range", "origin"):
        del whole["data"][name]
    file.write_text(json.dumps(whole))
    save(root / "dog" / "9.png", 200)
    jaxgan.train(dataclasses.replace(recipe, steps=6), tmp_path / "run")


def test_the_fingerprint_is_of_the_content_alone(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), dtype=np.uint8)
    labels = np.arange(9) % 3
    one = data.from_array(images, labels).facts()
    assert data.from_array(np.asfortranarray(images), labels.astype(">i4"), name="other").facts().fingerprint == one.fingerprint
    # A known answer: another machine or version of Python computes the same.
    assert one.fingerprint[:16] == "aed6fc79394da7b6"
    for other in (images[::-1], np.where(images == images.max(), 0, images), images.astype(np.float32) / 255):
        assert data.from_array(other, labels).facts().fingerprint != one.fingerprint
    assert data.from_array(images, labels[::-1].copy()).facts().fingerprint != one.fingerprint
    listed = [(image, int(label)) for image, label in zip(images, labels, strict=True)]

    class Elements:
        def __len__(self):
            return 9

        def __getitem__(self, i):
            return listed[i]

    by_number = data.from_source(Elements()).facts()
    assert by_number.counts == (3, 3, 3)
    listed[4] = (images[0], 1)
    assert data.from_source(Elements()).facts().fingerprint != by_number.fingerprint


@pytest.mark.parametrize("names", [("train", "val"), ("Train", "TEST"), ("training",), ("train", "test", "extra")])
def test_splits_are_not_taken_for_classes(tmp_path, names):
    for name in names:
        classes(tmp_path / name, "dark", "light", count=1)
    with pytest.raises(ValueError, match=r"holds the splits .* not classes: name one, folder:") as caught:
        data.load(f"folder:{tmp_path}")
    assert "\n" not in str(caught.value)
    assert data.load(f"folder:{tmp_path / names[0]}").class_names == ("dark", "light")


def test_one_class_may_be_called_train(tmp_path):
    assert data.arrays(f"folder:{classes(tmp_path, 'bus', 'car', 'train', count=1)}")[2] == ("bus", "car", "train")


def test_links_to_folders_are_followed_once(tmp_path):
    classes(tmp_path / "elsewhere", "cat", count=3)
    classes(tmp_path / "set", "dog", count=2)
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "set" / "dog" / "round").symlink_to(tmp_path / "set")  # a circle
    (tmp_path / "set" / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "set" / "dog" / "pipe.png")
    _, labels, names = data.arrays(f"folder:{tmp_path / 'set'}")
    assert names == ("cat", "dog")
    assert np.bincount(labels).tolist() == [3, 2]


@pytest.mark.parametrize("packed", [False, True])
def test_the_layout_of_stylegans_tool(tmp_path, packed, caplog):
    root = tmp_path / "set"
    for i in range(6):
        save(root / f"{i // 3:05d}" / f"img{i:08d}.png", 10 * i)
    pairs = [[f"{i // 3:05d}/img{i:08d}.png", 2 * (i % 2)] for i in range(6)]

    def load(labels):
        if labels is not None:
            (root / "dataset.json").write_text(labels if isinstance(labels, str) else json.dumps({"labels": labels}))
        if not packed:
            return data.arrays(f"folder:{root}")
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in root.rglob("*.*"):
                archive.write(path, path.relative_to(root).as_posix())
        return data.arrays(f"folder:{tmp_path / 'set.zip'}")

    assert load(None)[2] == ()  # shards are no classes
    images, labels, names = load(pairs)
    assert names == ("0", "2")
    assert labels.tolist() == [0, 1] * 3
    assert images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    (root / "dataset.json").write_text('{"labels": null}')
    assert load(None)[2] == ()
    assert load([[name, [0.5, 1.0]] for name, _ in pairs])[2] == ()
    assert "its labels are vectors" in caplog.text
    for bad, message in (
        (pairs[1:], r"1 of 6 pictures have no label: 00000/img00000000\.png"),
        ([[name, "cat"] for name, _ in pairs], "the label 'cat' is no number"),
        ([[1, 2]], "not pairs of a name and a number"),
        ("{", "dataset.json is damaged"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load(bad)
        assert "\n" not in str(caught.value)
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"bad\.zip is damaged or no \.zip"):
        data.load(f"folder:{tmp_path / 'bad.zip'}")


@pytest.mark.parametrize(("most", "white"), [(200, 255), (1000, 1023), (4000, 4095), (16_000, 16_383), (60_000, 65_535)])
def test_fewer_bits_in_16_use_all_grey_levels(tmp_path, most, white, caplog):
    levels = np.linspace(0, most, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(levels // 2).save(tmp_path / "b.png")
    images, _, _ = data.arrays(f"folder:{tmp_path}")
    np.testing.assert_array_equal(images[0, ..., 0], np.round(levels / (white / 255)))
    np.testing.assert_array_equal(images[1, ..., 0], np.round(levels // 2 / (white / 255)))  # one scale for all
    assert ("read as" in caplog.text) == (white != 65_535)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [0, 5, 9]])
def test_classes_without_samples_are_neither_trained_for_nor_drawn(tmp_path, numbers):
    labels = np.repeat(numbers, 4)
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
    dataset = data.from_array(images, labels)
    assert dataset.class_names == tuple(map(str, numbers))
    assert dataset.facts().counts == (4, 4, 4)
    batch = dataset.batches(0, 12)(0)
    assert sorted(np.asarray(batch["label"]).ravel().tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    elements = [{"image": image, "label": int(label)} for image, label in zip(images, labels, strict=True)]

    class Elements:
        def __len__(self):
            return 12

        def __getitem__(self, i):
            return elements[i]

    streamed = data.from_source(Elements())
    assert streamed.class_names == dataset.class_names
    np.testing.assert_array_equal(streamed.batches(0, 12)(0)["label"], batch["label"])
    if numbers[0]:
        return
    run = jaxgan.train(TINY, tmp_path / "run", dataset=(images, labels))
    with np.load(sample(run.path, n=6, out=tmp_path / "a.npz")) as drawn:
        assert drawn["labels"].tolist() == [0, 5, 9, 0, 5, 9]
    with np.load(sample(run.path, n=2, labels=[9], out=tmp_path / "a.npz")) as drawn:
        assert drawn["labels"].tolist() == [9, 9]
    with pytest.raises(ValueError, match=r"labels: 1, but the classes are 0, 5, 9"):
        sample(run.path, labels=[1], out=tmp_path / "a.npz")


def test_floats_of_a_pictures_range_are_that_picture(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), dtype=np.uint8)
    images[0, 0, 0, 0] = 255
    want = data.from_array(images).batches(0, 40)(0)["image"]
    for floats in (images / 255, (images / 255).astype(np.float32), images / 127.5 - 1):
        got = data.from_array(floats).batches(0, 40)(0)["image"]
        np.testing.assert_allclose(got, want, atol=2e-7)
    np.savez(tmp_path / "real.npz", images=images)
    for name, made in (("unit", images / 255), ("signed", images / 127.5 - 1), ("long", images.astype(np.int64))):
        np.savez(tmp_path / f"{name}.npz", images=made)
        found = evaluate(tmp_path / f"{name}.npz", data=f"npz:{tmp_path / 'real.npz'}", features="pixels", metrics=["fid"])
        assert found.values["fid"].mean < 1e-6
    np.savez(tmp_path / "wide.npz", images=images * 3.0)
    with pytest.raises(ValueError, match=r"values from 0 to 765, but those of .* are pictures"):
        evaluate(tmp_path / "wide.npz", data=f"npz:{tmp_path / 'real.npz'}", features="pixels", metrics=["fid"])


def test_folders_of_mixed_sizes_are_measured_at_one(tmp_path):
    rng = np.random.default_rng(0)
    for folder, shapes in (("real", [(20, 30), (30, 20)]), ("made", [(16, 16)])):
        (tmp_path / folder).mkdir()
        for i in range(8):
            pixels = rng.integers(0, 256, (*shapes[i % len(shapes)], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    options = {"features": "pixels", "metrics": ["fid"]}
    for first, second in ("made", "real"), ("real", "made"):
        with pytest.raises(ValueError, match=r"^image_size: None, but .* holds 2 sizes.* --image-size"):
            evaluate(tmp_path / first, data=f"folder:{tmp_path / second}", **options)
        found = evaluate(tmp_path / first, data=f"folder:{tmp_path / second}", image_size=8, **options)
        assert np.isfinite(found.values["fid"].mean)


@pytest.mark.parametrize(("way", "top", "left"), [("crop", 100, 100), ("letterbox", 0, 0), ("squeeze", 100, 0)])
def test_pictures_that_are_no_squares_fit_in_the_way_chosen(tmp_path, way, top, left):
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = 100
    Image.fromarray(wide).save(tmp_path / "a.png")
    image = data.arrays(f"folder:{tmp_path}", image_size=20, fit=way)[0][0].astype(int)
    assert image.shape == (20, 20, 3)
    assert np.abs(image[[0, 10], [10, 2], 0] - [top, left]).max() <= 3
    assert np.abs(image[10, 8:12, 0] - 100).max() <= 3
    with pytest.raises(ValueError, match=r"^fit: 'stretch' is not one of crop, letterbox, squeeze$"):
        data.load(f"folder:{tmp_path}", image_size=20, fit="stretch")


def test_a_tfds_set_of_floats_keeps_its_numbers(tmp_path):
    import contextlib
    import io
    import types

    import tensorflow_datasets as tfds

    ramp = np.linspace(200, 300, 64, dtype=np.float32).reshape(8, 8, 1)
    encoded = io.BytesIO()
    Image.fromarray(ramp.view(np.uint8).reshape(8, 8, 4), "RGBA").save(encoded, "PNG")

    def info(builder):
        image = tfds.features.Image(shape=(8, 8, 4))
        features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(num_classes=2)})
        return tfds.core.DatasetInfo(builder=builder, features=features, supervised_keys=("image", "label"))

    def examples(*_):
        for i in range(6):
            yield i, {"image": encoded.getvalue(), "label": i % 2}

    body = {
        "__module__": __name__,
        "name": "ramps",
        "VERSION": tfds.core.Version("1.0.0"),
        "_info": info,
        "_split_generators": lambda *_: {"train": examples()},
        "_generate_examples": examples,
    }
    made = types.new_class(
        "ramps", (tfds.core.GeneratorBasedBuilder,), {"skip_registration": True}, lambda space: space.update(body)
    )
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        made(data_dir=str(tmp_path), file_format="array_record").download_and_prepare(download_dir=str(tmp_path / "dl"))
    for file in tmp_path.rglob("features.json"):  # what a float32 set says of itself; its records are the same
        file.write_text(file.read_text().replace('"dtype": "uint8"', '"dtype": "float32"').replace('"4"', '"1"'))
    images, _, _ = data.arrays("tfds:ramps", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(images[0], ramp)
    for stream in (False, True):
        dataset = data.load("tfds:ramps", data_dir=tmp_path, cache_dir=tmp_path / "cache", stream=stream)
        assert (dataset.units.dtype, dataset.units.low, dataset.units.high) == ("float32", (200.0,), (300.0,))
        batch = dataset.batches(0, 6)(0)["image"]
        assert (batch.min(), batch.max()) == (-1, 1)
    with pytest.raises(ValueError, match="are float32 and keep their shape"):
        data.load("tfds:ramps", image_size=4, data_dir=tmp_path)
