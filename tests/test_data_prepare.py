"""Preparing sets from original files, reading prepared ones, and the cache of their arrays."""

import gzip
import http.server
import io
import json
import logging
import subprocess
import sys
import tarfile
import threading

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

from jaxgan import data
from jaxgan.data import cache, originals, preparation, tfds

SIZES = {
    "mnist": {"train": 30, "test": 20},
    "fashion_mnist": {"train": 30, "test": 20},
    "cifar10": {"train": 50, "test": 10},
}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    # Originals of a thousandth of their size, so that a test takes a moment.
    monkeypatch.setattr(originals, "_SIZES", SIZES)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(axis.to_bytes(4, "big") for axis in array.shape)
    return header + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    folder, rng, splits = tmp_path / "originals", np.random.default_rng(0), {}
    folder.mkdir()
    for split, prefix in (("train", "train"), ("test", "t10k")):
        count = SIZES["mnist"][split]
        splits[split] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10
        for kind, array in zip(("images-idx3", "labels-idx1"), splits[split], strict=True):
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(idx(array))
    return folder, splits


@pytest.fixture
def cifar10(tmp_path):
    folder, rng = tmp_path / "originals" / "cifar-10-batches-bin", np.random.default_rng(1)
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    batches = {}
    for name in names:
        labels = np.arange(10, dtype=np.uint8)
        batches[name] = rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8), labels
        pixels = batches[name][0].transpose(0, 3, 1, 2).reshape(10, -1)
        np.concatenate([labels[:, None], pixels], axis=1).tofile(folder / name)
    (folder / "batches.meta.txt").write_text("\n".join(f"class{number}" for number in range(10)) + "\n\n")
    return folder, batches


def same_set(left, right):
    def rows(images, labels):
        return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))

    return rows(*left) == rows(*right)


def test_mnist_from_original_files(mnist, tmp_path):
    folder, splits = mnist
    made = data.prepare("mnist", source=folder)
    assert made == tmp_path / "tfds" / "mnist" / "3.0.1"
    assert sorted(path.name for path in (tmp_path / "tfds").iterdir()) == ["mnist"]
    for split, (images, labels) in splits.items():
        found = data.arrays("mnist", split=split)
        assert same_set(found[:2], (images[..., None], labels))
        assert found[2] == tuple("0123456789")
    part = data.load("tfds:mnist", split="train[:10]")
    assert (part.size, part.shape, part.split) == (10, (28, 28, 1), "train[:10]")
    assert data.load("mnist", split="test", image_size=32, channels=3).shape == (32, 32, 3)
    stacked = data.load("stacked_mnist", split="test", image_size=32)
    assert (stacked.size, stacked.shape, len(stacked.class_names)) == (26_000, (32, 32, 3), 1000)
    streamed = data.load("mnist", stream=True).batches(0, 30)(5)
    np.testing.assert_array_equal(streamed["image"], data.load("mnist").batches(0, 30)(5)["image"])
    assert "tensorflow" not in sys.modules
    assert data.prepare("tfds:mnist") == made


def test_fashion_mnist_keeps_its_own_classes(mnist):
    data.prepare("fashion_mnist", source=mnist[0])
    assert data.load("fashion_mnist").class_names[9] == "Ankle boot"


def test_cifar10_from_original_files(cifar10):
    folder, batches = cifar10
    data.prepare("cifar10", source=folder.parent)
    images, labels, class_names = data.arrays("cifar10", split="test")
    assert class_names == tuple(f"class{number}" for number in range(10))
    assert same_set((images, labels), batches["test_batch.bin"])
    assert data.load("cifar10").size == 50


def test_stock_tfds_reads_what_was_prepared(mnist, tmp_path):
    data.prepare("mnist", source=mnist[0])
    builder = tensorflow_datasets.builder("mnist", data_dir=str(tmp_path / "tfds"))
    records = builder.as_data_source("test")
    assert len(records) == 20
    assert same_set(
        ([each["image"] for each in records], [each["label"] for each in records]), data.arrays("mnist", split="test")[:2]
    )


def test_cifar10_from_the_archive(cifar10, tmp_path):
    folder, batches = cifar10
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname="cifar-10-batches-bin")
    found = originals.read("cifar10", tmp_path, {})
    np.testing.assert_array_equal(found.splits["train"][0][20:30], batches["data_batch_3.bin"][0])
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is damaged"):
        originals.read("cifar10", tmp_path, {})
    # The archive that TFDS knows has another size, so this one is not taken for it.
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz holds \d+ bytes, but the original has 170052171"):
        data.prepare("cifar10", source=tmp_path)


def test_a_packed_original_must_be_the_original(mnist, tmp_path):
    folder, _ = mnist
    name = "train-images-idx3-ubyte"
    packed = folder / f"{name}.gz"
    packed.write_bytes(gzip.compress((folder / name).read_bytes()))
    assert originals.read("mnist", folder, {}).splits["train"][0].shape == (30, 28, 28, 1)
    other = originals.Recorded("", packed.stat().st_size, "0" * 64)
    with pytest.raises(ValueError, match=r"another sha256 than the original"):
        originals.read("mnist", folder, {packed.name: other})
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        originals.read("mnist", folder, {})


def change(path, edit):
    path.write_bytes(edit(path.read_bytes()))


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        (
            "t10k-images-idx3-ubyte",
            lambda content: content[:-1],
            "t10k-images-idx3-ubyte holds 15679 bytes, but 20x28x28 are wanted",
        ),
        ("train-labels-idx1-ubyte", lambda content: content[:-1] + b"\x0a", "train-labels-idx1-ubyte holds the label 10"),
        ("train-labels-idx1-ubyte", lambda _: b"", "is no IDX file of 30 bytes"),
        ("train-images-idx3-ubyte", lambda content: b"\0\0\x0d" + content[3:], "is no IDX file of 30x28x28 bytes"),
    ],
)
def test_damaged_originals_of_mnist_leave_nothing(mnist, tmp_path, file, edit, message):
    change(mnist[0] / file, edit)
    with pytest.raises(ValueError, match=message) as caught:
        data.prepare("mnist", source=mnist[0])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "tfds").exists()


def test_missing_originals_are_named(mnist, cifar10, tmp_path):
    (mnist[0] / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds neither t10k-labels-idx1-ubyte\.gz nor t10k-labels-idx1-ubyte$"):
        data.prepare("mnist", source=mnist[0])
    with pytest.raises(FileNotFoundError, match="is not a folder with the original files of mnist"):
        data.prepare("mnist", source=tmp_path / "nowhere")
    folder, _ = cifar10
    change(folder / "data_batch_2.bin", lambda content: content[:-1])
    with pytest.raises(ValueError, match=r"data_batch_2\.bin holds 30729 bytes, but 10 records of 3073 are wanted"):
        data.prepare("cifar10", source=folder)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no data_batch_2\.bin"):
        data.prepare("cifar10", source=folder)
    assert not (tmp_path / "tfds").exists()


def test_a_failure_while_writing_leaves_nothing(mnist, tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preparation, "_png", fail)
    with pytest.raises(ValueError, match=r"data_dir: cannot write .*: No space left on device"):
        data.prepare("mnist", source=mnist[0])
    assert not (tmp_path / "tfds").exists()


def test_what_is_in_the_way_is_not_removed(mnist, tmp_path):
    note = tmp_path / "tfds" / "mnist" / "3.0.1" / "note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("mine")
    with pytest.raises(ValueError, match="is in the way"):
        data.prepare("mnist", source=mnist[0])
    assert note.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("mnsit", None, "no image set is called 'mnsit'; did you mean 'mnist'"),
        ("kmnist", None, "tfds:kmnist needs TensorFlow to be prepared"),
        ("kmnist", "somewhere", "source: somewhere, but only mnist, fashion_mnist, cifar10"),
        ("folder:x", None, "is not a name"),
    ],
)
def test_what_cannot_be_prepared(name, source, message, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=message) as caught:
        data.prepare(name, source=source)
    assert "\n" not in str(caught.value)


@pytest.fixture
def server(tmp_path):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_download(server, tmp_path):
    (tmp_path / "there.gz").write_bytes(b"content")
    goal = tmp_path / "goal"
    goal.mkdir()
    originals.download({"there.gz": originals.Recorded(f"{server}/there.gz", 7, "")}, goal)
    assert (goal / "there.gz").read_bytes() == b"content"
    with pytest.raises(
        ValueError, match=rf"^cannot download {server}/gone\.gz: File not found; .* can be given instead, --from DIR$"
    ):
        originals.download({"gone.gz": originals.Recorded(f"{server}/gone.gz", 7, "")}, goal)


def test_preparing_without_a_network_leaves_nothing(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(ValueError, match=r"^cannot download http.*ubyte\.gz: .*Network is unreachable.* original files"):
        data.prepare("mnist")
    assert not (tmp_path / "tfds").exists()


def builder_of(features, tmp_path, examples, name="tiny"):
    def info(builder):
        return tensorflow_datasets.core.DatasetInfo(
            builder=builder, features=tensorflow_datasets.features.FeaturesDict(features)
        )

    kind = preparation._builder(
        tensorflow_datasets.core.GeneratorBasedBuilder,
        name=name,
        VERSION=tensorflow_datasets.core.Version("1.0.0"),
        _info=info,
        _split_generators=lambda *_: {"train": enumerate(examples)},
        _generate_examples=None,
    )
    return preparation._written(kind, tmp_path / "tfds")


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_set_without_images_is_refused(tmp_path):
    builder_of({"text": tensorflow_datasets.features.Text()}, tmp_path, [{"text": "a"}])
    with pytest.raises(ValueError, match=r"^tfds:tiny holds no images, only text$"):
        data.load("tfds:tiny")


def test_a_set_of_several_sizes_and_no_classes(tmp_path):
    examples = [{"picture": png(np.full((5 + side, 9, 3), 40 * side, np.uint8))} for side in range(4)]
    builder_of({"picture": tensorflow_datasets.features.Image()}, tmp_path, examples)
    with pytest.raises(ValueError, match="image_size: None, but tfds:tiny holds images of several sizes"):
        data.load("tfds:tiny")
    images, labels, class_names = data.arrays("tfds:tiny", image_size=4)
    assert images.shape == (4, 4, 4, 3)
    assert sorted(images[:, 0, 0, 0].tolist()) == [0, 40, 80, 120]
    assert (labels.tolist(), class_names) == ([0] * 4, ())


def test_damaged_records_are_one_line(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    made = builder_of(
        {"image": tensorflow_datasets.features.Image(shape=(8, 8, 3))}, tmp_path, [{"image": png(each)} for each in array]
    )
    (records,) = made.glob("*array_record*")
    whole = bytearray(records.read_bytes())
    whole[1000:1500] = bytes(500)
    records.write_bytes(whole)
    with pytest.raises(ValueError, match=r"tfds:tiny: .* cannot be read") as caught:
        data.arrays("tfds:tiny")
    assert "\n" not in str(caught.value)


def test_a_set_prepared_as_tfrecord_is_refused(mnist, tmp_path):
    made = data.prepare("mnist", source=mnist[0])
    for path in made.glob("*array_record*"):
        path.rename(made / path.name.replace("array_record", "tfrecord"))
    info = made / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match=r"^tfds:mnist is prepared as tfrecord in .*, but only array_record can be read$"):
        data.load("mnist")


def arrays_of(value):
    return np.full((3, 2, 2, 1), value, np.uint8), np.arange(3, dtype=np.int32)


def test_cache_reads_once_and_notices_another_origin(tmp_path):
    calls = []

    def read():
        calls.append(None)
        return arrays_of(len(calls))

    for origin, value in (("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        images, labels = cache.arrays(tmp_path / "kept", origin, read)
        assert (images == value).all()
        assert labels.tolist() == [0, 1, 2]
    assert len(calls) == 2
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["images.npy", "labels.npy", "seal.json"]


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "seal.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_damaged_cache_is_rebuilt(tmp_path, file, damage, caplog):
    cache.arrays(tmp_path, "a", lambda: arrays_of(1))
    path = tmp_path / file
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[:-2], "empty": b"", "flip": whole[:-1] + bytes([whole[-1] ^ 1])}[damage])
    with caplog.at_level(logging.WARNING, "jaxgan"):
        images, _ = cache.arrays(tmp_path, "a", lambda: arrays_of(2))
    assert (images == 2).all()
    assert len(caplog.records) == (damage != "gone")
    assert (cache.arrays(tmp_path, "a", lambda: arrays_of(3))[0] == 2).all()


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING, "jaxgan"):
        images, _ = cache.arrays(tmp_path / "file" / "kept", "a", lambda: arrays_of(1))
    assert (images == 1).all()
    assert "cannot write" in caplog.text


def test_a_set_prepared_anew_is_read_anew(mnist, tmp_path):
    folder, _ = mnist
    made = data.prepare("mnist", source=folder)
    before = data.arrays("mnist")[0]
    for path in [*made.iterdir()]:
        path.unlink()
    made.rmdir()
    change(folder / "train-images-idx3-ubyte", lambda content: content[:16] + bytes(len(content) - 16))
    data.prepare("mnist", source=folder)
    assert before.any()
    assert not data.arrays("mnist")[0].any()


def test_where_things_are_kept(monkeypatch, tmp_path):
    assert cache.directory() == tmp_path / "cache"
    assert cache.directory("~/x").is_absolute()
    monkeypatch.delenv("JAXGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "jaxgan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory() == tmp_path / ".cache" / "jaxgan"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert tfds.directory() == tmp_path / "tensorflow_datasets"


def test_importing_the_package_loads_nothing_heavy():
    code = "import json, sys, jaxgan.data; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    assert not loaded & {"tensorflow", "tensorflow_datasets", "grain", "sklearn", "PIL", "flax"}
