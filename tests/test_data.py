"""Names, order and placement: batches are a pure function of (seed, step), resident or streamed."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from sklearn.datasets import load_digits

from jaxgan import data
from jaxgan.data import source, stacked


@pytest.fixture(autouse=True)
def places(tmp_path_factory, tmp_path, monkeypatch):
    # One cache for all tests of this file, so that digits are prepared once; no data set is prepared anywhere else.
    monkeypatch.setenv("JAXGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def over_two_devices():
    mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec("data"))


def test_digits_are_all_of_scikit_learns():
    images, labels, class_names = data.arrays("digits")
    levels, digits = load_digits(return_X_y=True)
    assert class_names == tuple("0123456789")
    assert (images.shape, images.dtype, labels.dtype) == ((1797, 8, 8, 1), np.uint8, np.int32)
    ours = np.round(images.reshape(1797, -1).astype(float) * 16 / 255)
    assert np.abs(images.reshape(1797, -1) - ours * 255 / 16).max() <= 0.5
    # TFDS shuffles the records, so the two are compared as sets of rows.
    rows = sorted(map(tuple, np.column_stack([ours, labels]).tolist()))
    assert rows == sorted(map(tuple, np.column_stack([levels, digits]).tolist()))


def test_pixels_become_minus_one_to_one():
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    batch = data.from_array(images, np.arange(256)).batches(0, 256)(0)
    seen = np.asarray(batch["image"])[0, :, 0, 0, 0]
    np.testing.assert_allclose(seen, batch["label"][0] / 127.5 - 1, atol=1.2e-7)
    assert (seen.min(), seen.max()) == (-1, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_every_image_comes_once_an_epoch(stream):
    dataset = data.load("digits", stream=stream)
    draw = dataset.batches(3, 599)  # 1,797 = 3 x 599
    images, _, _ = data.arrays("digits")
    orders = []
    for epoch in range(2):
        batches = [draw(3 * epoch + step) for step in range(3)]
        drawn = np.concatenate([batch["image"][0] for batch in batches]).reshape(1797, -1)
        orders.append(drawn)
        want = images.reshape(1797, -1).astype(np.float32) / 127.5 - 1
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(want, axis=0), atol=1e-6)
        assert {row.tobytes() for row in drawn} == {row.tobytes() for row in orders[0]}
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("stream", [False, True])
def test_a_batch_depends_on_seed_and_step_alone(stream):
    dataset = data.load("digits", stream=stream)
    draw = dataset.batches(0, 500)  # batches span epochs
    ahead = draw(7)
    several = draw(2, 4)
    assert several["image"].shape == (4, 500, 8, 8, 1)
    assert several["image"].dtype == np.float32
    assert several["label"].dtype == np.int32
    again = dataset.batches(0, 500)
    for step in (5, 2, 3, 4, 2):
        for key in ("image", "label"):
            np.testing.assert_array_equal(again(step)[key][0], several[key][step - 2])
    np.testing.assert_array_equal(again(7)["image"], ahead["image"])
    other = dataset.batches(1, 500)(2)
    assert (np.asarray(other["image"][0]) != np.asarray(several["image"][0])).any()


def test_streamed_batches_equal_resident_ones():
    resident, streamed = (data.load("digits", stream=stream) for stream in (False, True))
    assert resident[:5] == streamed[:5]
    left, right = (dataset.batches(9, 100)(17, 3) for dataset in (resident, streamed))
    np.testing.assert_array_equal(left["image"], right["image"])
    np.testing.assert_array_equal(left["label"], right["label"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_sharded_batch_is_the_same_batch(stream):
    dataset, sharding = data.load("digits", stream=stream), over_two_devices()
    single, spread = dataset.batches(0, 10)(4, 2), dataset.batches(0, 10, sharding)(4, 2)
    for key, value in spread.items():
        assert value.sharding.shard_shape(value.shape)[:2] == (2, 5)
        np.testing.assert_array_equal(value, single[key])


def test_a_draw_is_traced_once(caplog):
    draw = data.load("digits").batches(0, 32)
    draw(0)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        draw(1)
        draw(900)
    assert not caplog.records


def test_the_order_does_not_depend_on_the_numpy_version():
    # Known answer of philox4x64-10 for counter and key 0 (Random123's kat_vectors); numpy counts before it draws.
    words = np.random.Philox(key=0, counter=2**256 - 1).random_raw(4)
    assert [f"{word:016x}" for word in words] == [
        "16554d9eca36314c",
        "db20fe9d672d0fdc",
        "d7e772cee186176b",
        "7e68b68aec7ba23b",
    ]
    # A change of these numbers would change what every resumed run goes on with.
    assert source.permutation(0, 0, 10).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert sorted(source.permutation(1, 2, 100).tolist()) == list(range(100))


def test_rows_cross_epochs():
    stream = np.concatenate([source.permutation(5, epoch, 7) for epoch in range(4)])
    np.testing.assert_array_equal(source.rows(5, 7, 3, 20), stream[3:23])


def test_floats_and_grey_arrays_pass():
    images = np.linspace(-1, 1, 4 * 5 * 5).reshape(4, 5, 5)
    dataset = data.from_array(images, name="mine")
    assert dataset[:5] == ("mine", "train", (5, 5, 1), (), 4)
    batch = dataset.batches(0, 4)(0)
    np.testing.assert_array_equal(np.sort(batch["image"].ravel()), images.astype(np.float32).ravel())
    assert not batch["label"].any()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros(8, np.uint8), None, r"images: shape \(8,\)"),
        (np.zeros((0, 4, 4), np.uint8), None, "images: shape"),
        (np.zeros((2, 4, 4, 5, 6, 7), np.uint8), None, "images: shape"),
        (np.zeros((2, 4, 4), np.int64), None, "samples: the data is constant, 0"),
        (np.array([[[1.0], [2.0]], [[3.0], [np.nan]]]), None, r"images: nan at \[1, 1, 0\], but they must be finite"),
        (np.array([[1.0, -np.inf]]), None, r"images: -inf at \[0, 1\]"),
        (np.array([{}, {}]), None, "images: dtype object"),
        (np.array([["a"], ["b"]]), None, "images: dtype <U1"),
        (np.zeros((2, 3), complex), None, "images: dtype complex128"),
        ([[1, 2], [3]], None, "images: rows of several shapes"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1, 2], "labels: int64"),
        (np.zeros((2, 4, 4), np.uint8), [0.5, 1], "labels: float64"),
        (np.zeros((2, 4, 4), np.uint8), [-1, 1], "labels: -1 to 1"),
    ],
)
def test_arrays_of_another_form_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message) as caught:
        data.from_array(images, labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_draws_out_of_range_are_refused(stream):
    dataset = data.load("digits", stream=stream)
    with pytest.raises(ValueError, match="batch_size: 0"):
        dataset.batches(0, 0)
    with pytest.raises(ValueError, match="seed: -1"):
        dataset.batches(-1, 8)
    with pytest.raises(ValueError, match="batch_size: 9, but it must be divisible among 2 devices"):
        dataset.batches(0, 9, over_two_devices())
    with pytest.raises(ValueError, match="step: -1"):
        dataset.batches(0, 8)(-1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("minst", {}, "did you mean 'mnist'"),
        ("kmnist", {}, "did you mean 'tfds:kmnist'"),
        ("", {}, "name: ''"),
        ("tfds:", {}, "name: 'tfds:'"),
        ("tfds:mnsit", {}, "no image set is called 'mnsit'; did you mean 'mnist'"),
        ("tfds:huggingface:mnist", {}, "is not a name"),
        ("tfds:../../etc", {}, "is not a name"),
        ("digits", {"split": "test"}, "split: 'test', but tfds:digits has train"),
        ("digits", {"split": "train[:x]"}, "split:"),
        ("digits", {"image_size": 0}, "image_size: 0"),
        ("digits", {"channels": 2}, "channels: 2"),
        ("stacked_mnist", {"split": "valid"}, "split: 'valid', but stacked_mnist has train, test"),
        ("stacked_mnist", {"channels": 1}, "channels: 1"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(name, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        data.load(name, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["mnist", "tfds:cifar10", "stacked_mnist"])
def test_an_unprepared_set_stops_without_asking_the_network(name, monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    plain = "cifar10" if "cifar10" in name else "mnist"
    with pytest.raises(FileNotFoundError) as caught:
        data.load(name)
    where = tmp_path / "tfds"
    assert str(caught.value) == f"tfds:{plain} is not prepared in {where}: run `jaxgan data prepare {plain}`"


def test_digits_fit_another_shape():
    images, _, _ = data.arrays("digits", image_size=16, channels=3)
    assert images.shape == (1797, 16, 16, 3)
    plain, _, _ = data.arrays("digits")
    assert np.ptp(images, axis=-1).max() == 0
    # Lanczos keeps the mean but for rounding and what clipping to 0 .. 255 cuts off.
    assert abs(images.mean() - plain.mean()) < 3


def test_stacked_digits():
    digits = np.arange(30, dtype=np.uint8).reshape(30, 1, 1, 1) * np.ones((1, 28, 28, 1), np.uint8)
    labels = np.arange(30, dtype=np.int32) % 10
    found = stacked.source((digits, labels), "test")
    assert (found.size, found.shape, len(found.class_names), found.class_names[7]) == (26_000, (28, 28, 3), 1000, "007")
    images, modes = found.everything()
    parts = images[:, 5, 5] % 10
    np.testing.assert_array_equal(modes, parts.astype(int) @ [100, 10, 1])
    np.testing.assert_array_equal(images.min((1, 2)), images.max((1, 2)))
    some = np.array([25_999, 3, 700])
    np.testing.assert_array_equal(found.read(some)[0], images[some])
    np.testing.assert_array_equal(found.read(some)[1], modes[some])
    # 26 expected in each of 1,000 modes; chi-square has mean 999 and standard deviation 45: five of those.
    counts = np.bincount(modes, minlength=1000)
    assert abs(((counts - 26) ** 2 / 26).sum() - 999) < 5 * 45


def test_triples_are_a_function_of_seed_and_index():
    np.testing.assert_array_equal(stacked.triples(1000, 60_000)[:10], stacked.triples(10, 60_000))
    assert (stacked.triples(10, 60_000, seed=1) != stacked.triples(10, 60_000)).any()
    assert stacked.triples(128_000, 10).max() == 9


def test_npz(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3), dtype=np.uint8)
    path = tmp_path / "some.npz"
    np.savez_compressed(path, x=images, y=np.arange(12) % 4)
    for name in (str(path), f"npz:{path}"):
        dataset = data.load(name)
        assert (dataset.shape, dataset.size, dataset.class_names) == ((6, 6, 3), 12, ("0", "1", "2", "3"))
    np.testing.assert_array_equal(data.arrays(str(path))[0], images)
    assert data.load(str(path), image_size=4, channels=1).shape == (4, 4, 1)


def test_npz_that_cannot_be_used(tmp_path):
    good, path = tmp_path / "good.npz", tmp_path / "bad.npz"
    np.savez(good, images=np.zeros((4, 6, 6), np.uint8))
    whole = good.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text", whole[:200] + b"\xff" * 40 + whole[240:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged or no \.npz") as caught:
            data.load(str(path))
        assert "\n" not in str(caught.value)
    for arrays, message in [
        ({"pictures": np.zeros(3)}, "holds pictures, but no images"),
        ({"images": np.zeros((4, 6, 6), np.complex64)}, "dtype complex64"),
        ({"images": np.array([{}], object)}, "damaged or no .npz of plain arrays"),
        ({"images": np.zeros((4, 6, 6), np.uint8), "labels": np.zeros(3, int)}, "labels: int64"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=message):
            data.load(str(path))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        data.load("npz:/nowhere/none.npz")
    with pytest.raises(ValueError, match="has train only"):
        data.load(str(good), split="test")
    np.savez(path, images=np.zeros((4, 6, 6), np.float32))
    with pytest.raises(ValueError, match="keep their shape"):
        data.load(str(path), image_size=3)
