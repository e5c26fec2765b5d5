"""PyTorch's files: read as PyTorch wrote them, refused where they name or hold what weights do not, and never run.

`goldens/torch_zip.pth` and `torch_legacy.pth` were written by torch.save of PyTorch 2.15, and `torch_persistent.pkl` by
pickle.dump of its modules with the `torch_utils.persistence` protocol around them. Every other file is put together here.
"""

import functools
import io
import os
import pickle
import random
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxgan.weights import torch_file
from jaxgan.weights.torch_file import Name, Record, init_kwargs, read, state_dicts

GOLDENS = Path(__file__).parent / "goldens"
FILES = ("torch_zip.pth", "torch_legacy.pth", "torch_persistent.pkl")
FOREIGN = "which is not one of the few that weights need; nothing of it was run"


def same(x: Any, y: np.ndarray) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == y.dtype and x.shape == y.shape and bool((x == y).all())


# -------------------------------------------------------------------------------------------------- files of PyTorch's own


def expected() -> dict[str, np.ndarray]:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    rounded = (x / 3).astype(ml_dtypes.bfloat16).astype(np.float32)
    return {
        "float": x,
        "view": x[1:3, ::2],
        "transposed": x.T,
        "half": (x / 8).astype(np.float16),
        "bfloat16": rounded,
        "bfloat16_view": rounded.T[1:],
        "double": x.astype(np.float64) / 3,
        "long": x.astype(np.int64) - 5,
        "int": x.astype(np.int32),
        "short": x.astype(np.int16),
        "char": x.astype(np.int8),
        "byte": x.astype(np.uint8),
        "bool": x > 11,
        "complex": x - 1j * x,
        "uint16": x.astype(np.uint16),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "parameter": x / np.float32(7),
        "numpy": np.arange(6.0).reshape(2, 3),
        "fortran": np.arange(6, dtype=np.int32).reshape(2, 3),
    }


def network() -> dict[str, np.ndarray]:
    """A convolution and a batch normalisation, each tensor counting up from the next hundred."""
    shapes = {"0.weight": (3, 2, 3, 3), "0.bias": (3,), "1.weight": (3,), "1.bias": (3,)}
    shapes |= {"1.running_mean": (3,), "1.running_var": (3,), "1.num_batches_tracked": ()}
    found = {
        name: (100 * i + np.arange(np.prod(shape, dtype=int))).reshape(shape) for i, (name, shape) in enumerate(shapes.items())
    }
    return {name: x.astype(np.int64 if "tracked" in name else np.float32) for name, x in found.items()}


@pytest.mark.parametrize("file", FILES[:2])
def test_torch_save(file: str) -> None:
    got = read(GOLDENS / file)
    for name, x in expected().items():
        assert same(got[name], x), name
    assert got["list"] == [1, 2.5, None, True, "x", b"y", (1, 2), {3, 4}]
    assert got["size"] == (4, 6)
    assert got["dtype"] == Name("torch.float16")
    assert got["number"] == 1.5
    assert np.shares_memory(got["float"], got["view"])
    found = state_dicts({"state_dict": got["state"]})
    assert list(found) == [""]
    assert list(found[""]) == list(network())
    assert all(same(found[""][name], x) for name, x in network().items())


def test_a_whole_module_in_data_parallel() -> None:
    found = state_dicts(read(GOLDENS / "torch_zip.pth")["module"])
    assert {name: x.tolist() for name, x in found[""].items()} == {name: x.tolist() for name, x in network().items()}


def test_persistent_networks() -> None:
    structure = read(GOLDENS / "torch_persistent.pkl")
    found = state_dicts(structure)
    assert list(found) == ["G", "D", "G_ema"]
    for scale, (name, dtype) in enumerate({"G": np.float32, "D": np.float32, "G_ema": np.float16}.items(), 1):
        assert list(found[name]) == ["w_avg", "mapping.fc0.weight", "plain.weight"]  # and no buffer that is not persistent
        assert same(found[name]["w_avg"], scale * np.arange(4, dtype=dtype))
        assert same(found[name]["mapping.fc0.weight"], scale * np.arange(6, dtype=dtype).reshape(3, 2).T)
        assert same(found[name]["plain.weight"], np.full((2, 1, 1, 1), scale, dtype))
    assert init_kwargs(structure) == {
        "G": {"z_dim": 4},
        "D": {"epilogue_kwargs": {"mbstd_group_size": 8}},
        "G_ema": {"synthesis_kwargs": {"conv_clamp": 256}},
    }
    assert structure["training_set_kwargs"] == {"path": "x", "resolution": 4}
    assert structure["augment_pipe"] is None
    layer = structure["G"].state["_modules"]["mapping"].state["_modules"]["fc0"]
    assert layer.state["gain"] == pytest.approx(2**0.5)
    assert structure["G"].state["_modules"]["plain"].state["activation"] == Name("torch.nn.functional.relu")


# ------------------------------------------------------------------------------------------------- files put together here


class Global(NamedTuple):
    module: str
    name: str


class Call(NamedTuple):
    function: Global
    arguments: Any
    state: Any = None


class New(NamedTuple):
    kind: Global
    state: Any = None


class Storage(NamedTuple):
    reference: Any


def operations(value: Any) -> bytes:
    """The pickle operations of protocol 3 that put a value on the stack."""
    match value:
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments, state):
            build = b"" if state is None else operations(state) + b"b"
            return operations(function) + operations(arguments) + b"R" + build
        case New(kind, state):
            return operations(kind) + b")\x81" + (b"" if state is None else operations(state) + b"b")
        case Storage(reference):
            return operations(reference) + b"Q"
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            return b"\x8a\x0b" + value.to_bytes(11, "little", signed=True)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case list():
            return b"](" + b"".join(map(operations, value)) + b"e"
        case dict():
            return b"}(" + b"".join(operations(each) for pair in value.items() for each in pair) + b"u"
        case tuple():
            return b"(" + b"".join(map(operations, value)) + b"t"
    raise TypeError(value)


def pickled(value: Any) -> bytes:
    return b"\x80\x03" + operations(value) + b"."


ORDERED = Global("collections", "OrderedDict")
TENSOR = Global("torch._utils", "_rebuild_tensor_v2")


def tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Call:
    return Call(TENSOR, (storage, offset, size, stride, False, Call(ORDERED, ())))


def stored(count: Any, key: Any = "0", kind: str = "FloatStorage", module: str = "torch") -> Storage:
    return Storage(("storage", Global(module, kind), key, "cuda:0", count))


def zipped(value: Any, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        for name, content in more.items():
            archive.writestr(f"archive/{name}", content)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return out.getvalue()


def legacy(value: Any, storages: dict[str, np.ndarray]) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}, value, list(storages)]
    numbers = [struct.pack("<q", x.size) + x.tobytes() for x in storages.values()]
    return b"".join([*map(pickled, head), *numbers])


def of(content: bytes, folder: Path, name: str = "file.pth") -> Any:
    (folder / name).write_bytes(content)
    return read(folder / name)


def message(content: bytes, folder: Path, name: str = "file.pth") -> str:
    """Why a file is refused: one line, which begins with its path."""
    with pytest.raises(ValueError) as caught:
        of(content, folder, name)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert text.startswith(f"{folder / name}: ")
    return text.removeprefix(f"{folder / name}: ")


X = np.arange(6, dtype=np.float32)


def test_byte_order(tmp_path: Path) -> None:
    value = tensor(stored(6), 1, (2, 2), (2, 1))
    assert same(of(zipped(value, {"0": X.tobytes()}), tmp_path), X[1:5].reshape(2, 2))
    big = X.astype(">f4").tobytes()
    assert same(of(zipped(value, {"0": big}, byteorder=b"big"), tmp_path), X[1:5].reshape(2, 2))
    assert "byteorder must be little or big" in message(zipped(value, {"0": big}, byteorder=b"middle"), tmp_path)


def test_old_files(tmp_path: Path) -> None:
    part = ("storage", Global("torch.cuda", "FloatStorage"), "7", "cuda:0", 6, ("8", 2, 3))
    old = Call(Global("torch._utils", "_rebuild_tensor"), (Storage(part), 1, (2,), (1,)))
    pairs = Call(ORDERED, ([["weight", old]],))  # as Python 2 has it
    assert same(of(legacy(pairs, {"7": X}), tmp_path)["weight"], X[3:5])
    outside = (*part[:5], ("8", 4, 3))
    assert "runs past it" in message(legacy(Storage(outside), {"7": X}), tmp_path)


def test_tensors_of_a_subclass(tmp_path: Path) -> None:
    arguments = (TENSOR, Global("torch", "Tensor"), (stored(6), 0, (6,), (1,), False, {}), {"note": 1})
    assert same(of(zipped(Call(Global("torch._tensor", "_rebuild_from_type_v2"), arguments), {"0": X.tobytes()}), tmp_path), X)


def test_safetensors(tmp_path: Path) -> None:
    tensors = {"G.a": X, "G.b": X.astype(ml_dtypes.bfloat16), "D.a": np.array(3, np.int64)}
    found = state_dicts(of(safetensors.numpy.save(tensors), tmp_path, "file.safetensors"))
    assert same(found["G"]["a"], X)
    assert same(found["G"]["b"], X)
    assert same(found["D"]["a"], np.array(3, np.int64))
    assert "damaged" in message(safetensors.numpy.save({"a": X})[:-1], tmp_path, "file.safetensors")
    head = b'{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    content = struct.pack("<q", len(head)) + head + b"12"
    assert message(content, tmp_path, "file.safetensors").startswith("a is of F8_E4M3, which is not one of F64,")


# ------------------------------------------------------------------------------------------------------ what must not run


class Runs:
    """Unpickled by Python itself, it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def test_python_would_run_it(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Runs(os.mkdir, str(canary))))
    assert canary.is_dir()  # so that the tests below know what they keep from happening


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, getattr, __import__, functools.partial])
def test_foreign_functions_are_refused_by_name(function: Any, protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps({"weight": Runs(function, str(tmp_path / "canary"))}, protocol)
    module = function.__module__ if protocol > 2 else function.__module__.replace("builtins", "__builtin__")
    told = message(content, tmp_path)
    assert told == f"it names {module}.{function.__qualname__}, {FOREIGN}"
    assert [path.name for path in tmp_path.iterdir()] == ["file.pth"]


SYSTEM = Call(Global("os", "system"), ("true",))


@pytest.mark.parametrize(
    "content",
    [
        zipped({"weight": SYSTEM}, {}),
        legacy({"weight": SYSTEM}, {}),
        pickled({"G": Call(Global("torch.storage", "_load_from_bytes"), (legacy(SYSTEM, {}),))}),
        pickled([SYSTEM, 1])[:-1],
        pickled(Call(Global("torch._tensor", "_rebuild_from_type_v2"), (Global("os", "system"), None, ("true",), {}))),
        pickled(New(Global("os", "system"))),
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    ],
    ids=["zip", "legacy", "inlined", "before the damage", "subclass", "new", "inst", "stack"],
)
def test_foreign_functions_are_found_wherever_they_hide(content: bytes, tmp_path: Path) -> None:
    assert message(content, tmp_path) == f"it names os.system, {FOREIGN}"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Call(Global("torch.nn.modules.conv", "Conv2d"), (1, 2, 3)), f"it calls torch.nn.modules.conv.Conv2d, {FOREIGN}"),
        (Call(Global("torch", "FloatStorage"), (10**12,)), f"it calls torch.FloatStorage, {FOREIGN}"),
        (New(Global("torch", "FloatStorage")), f"it makes a torch.FloatStorage, {FOREIGN}"),
        (Global("torch.nnx", "Conv2d"), f"it names torch.nnx.Conv2d, {FOREIGN}"),
        (Global("torch", "load"), f"it names torch.load, {FOREIGN}"),
        (Global("os\x1b[2J", "system"), f"it names 'os\\x1b[2J.system', {FOREIGN}"),
        (Global("builtins", "bytearray"), f"it names builtins.bytearray, {FOREIGN}"),
    ],
)
def test_allowed_names_are_values_unless_they_are_ours(value: Any, told: str, tmp_path: Path) -> None:
    assert message(pickled(value), tmp_path) == told


def test_the_source_of_persistent_classes_is_left_alone(tmp_path: Path) -> None:
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "G", "state": {"_parameters": {}}}
    function = Global("torch_utils.persistence", "_reconstruct_persistent_obj")
    assert of(pickled(Call(function, (meta,))), tmp_path) == Record("G", {"_parameters": {}})
    assert "without a state" in message(pickled(Call(function, (meta | {"state": 3},))), tmp_path)
    assert b"raise SystemExit" in (GOLDENS / "torch_persistent.pkl").read_bytes()
    read(GOLDENS / "torch_persistent.pkl")


# ------------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("offset", "size", "stride", "told"),
    [
        (0, (7,), (1,), "a tensor of 7 numbers runs past its storage: it needs 7, but there are 6"),
        (1, (2, 3), (3, 1), "a tensor of 2 x 3 numbers runs past its storage: it needs 7, but there are 6"),
        (0, (2, 2), (5, 1), "it needs 7"),
        (6, (), (), "it needs 7"),
        (0, (10**12,), (0,), "a tensor of 1000000000000 numbers"),
        (0, (2**31, 2**31, 2**31), (0, 0, 0), "runs past its storage"),
        (2**61, (1,), (1,), "runs past its storage"),
        (2**70, (1,), (1,), "not allowed"),
        (0, (-1,), (1,), "not allowed"),
        (4, (2,), (-1,), "not allowed"),
        (0, (True,), (1,), "not allowed"),
        (0, (2, 2), (1,), "as many strides"),
        (0, (1,) * 33, (1,) * 33, "as many strides"),
        (0, 6, 1, "damaged"),
    ],
)
def test_tensors_stay_in_their_storages(offset: Any, size: Any, stride: Any, told: str, tmp_path: Path) -> None:
    value = tensor(stored(6), offset, size, stride)
    assert told in message(zipped(value, {"0": X.tobytes()}), tmp_path)
    assert told in message(legacy(value, {"0": X}), tmp_path)


WHOLE = tensor(stored(6), 0, (6,), (1,))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zipped(tensor(stored(7), 0, (6,), (1,)), {"0": X.tobytes()}), "storage 0 must be of 28 bytes, but it is of 24"),
        (zipped(tensor(stored(2**61), 0, (6,), (1,)), {"0": X.tobytes()}), "storage 0 must be of"),
        (zipped([WHOLE, stored(3, kind="DoubleStorage")], {"0": X.tobytes()}), "told of in two ways"),
        (zipped(WHOLE, {}), "data/0 is missing"),
        (zipped(WHOLE, {"0": X.tobytes()}, zipfile.ZIP_DEFLATED), "is compressed in it"),
        (zipped(WHOLE, {"0": X.tobytes()}).replace(X.tobytes(), X[::-1].tobytes()), "Bad CRC-32"),
        (zipped(stored(6, kind="QInt8Storage"), {"0": b""}), "it names torch.QInt8Storage"),
        (zipped(stored(-1), {"0": b""}), "without a name or a size"),
        (zipped(stored(6, key=0), {"0": b""}), "without a name or a size"),
        (zipped(Storage(("tensor", 1, 2, 3, 4)), {}), "outside it that is no storage"),
        (zipped(WHOLE, {"0": X.tobytes()})[:-30], "damaged"),
        (b"PK\3\4", "damaged"),
        (legacy(WHOLE, {"0": X})[:-1], "the file ends within storage 0"),
        (legacy(WHOLE, {"0": X})[:-25], "the file ends before it"),
        (legacy(WHOLE, {"0": X[:5]}), "another size than its tensors say"),
        (legacy(WHOLE, {"0": X, "1": X}), "its list of storages"),
        (legacy(tensor(stored(2**50), 0, (6,), (1,)), {"0": X}), "would be of 4503599627370496 bytes, but the file is of"),
        (legacy(WHOLE, {"0": X}).replace(b"\xe9\x03", b"\xea\x03"), "another protocol"),
        (pickled(WHOLE), "storage 0 of 6 f4, which lies outside it"),
        (pickled(tensor([1], 0, (1,), (1,))), "not built of a storage"),
        (b"\x80\x02}X\x01\x00\x00\x00aK\x01", "damaged"),
        (b"", "damaged"),
        (b"<!DOCTYPE html>\n<html>", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "damaged"),
        (b"\x80\x02\x8aN.", "damaged"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "damaged"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged"),
        (b"\x80\x02h\x05.", "damaged"),
        (b"\x80\x02\x82\x01.", "pickle operation EXT1"),
    ],
)
def test_damaged_files(content: bytes, told: str, tmp_path: Path) -> None:
    assert told in message(content, tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_truncated_anywhere(file: str, tmp_path: Path) -> None:
    content = (GOLDENS / file).read_bytes()
    for length in range(0, len(content) - 1, 97):
        message(content[:length], tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_damaged_anywhere(file: str, tmp_path: Path) -> None:
    content, chance = (GOLDENS / file).read_bytes(), random.Random(0)
    told = []
    for _ in range(250):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 2, 8))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            structure = of(bytes(damaged), tmp_path)
            state_dicts(structure)
            init_kwargs(structure)
        except ValueError as error:
            told.append(str(error))
    assert len(told) > 50
    assert all(text.isprintable() for text in told)


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


MODULE = Global("torch.nn.modules.container", "Sequential")


def bombs() -> dict[str, bytes]:
    doubled = b"\x80\x02)" + b"2\x86" * 60  # ((((), ()), ((), ())), ..): 2^60 leaves
    many = b"\x80\x03](" + b"K\x01" * 20_000 + b"eq\x00"
    copied = b"(" + b"cbuiltins\nlist\nh\x00\x85R" * 20_000 + b"t."
    array = operations(Call(Global("numpy", "dtype"), ("u1", False, True))) + b"q\x01"
    raw = operations(bytes(100_000)) + b"q\x02"
    frombuffer = b"cnumpy.core.numeric\n_frombuffer\n(h\x02h\x01J\xa0\x86\x01\x00\x85X\x01\x00\x00\x00CtR"
    return {
        "keys": doubled + b"q\x000}h\x00K\x01s.",
        "names": doubled + b"X\x01\x00\x00\x00a\x93.",
        "lists": many + copied,
        "arrays": b"\x80\x03" + array + raw + b"(" + frombuffer * 20_000 + b"t.",
        "inlined": b"\x80\x03"
        + operations(legacy([1], {}) + bytes(100_000))
        + b"q\x00("
        + b"ctorch.storage\n_load_from_bytes\nh\x00\x85R" * 20_000
        + b"t.",
    }


@pytest.mark.parametrize("name", bombs())
def test_nothing_grows_beyond_the_file(name: str, tmp_path: Path) -> None:
    content = bombs()[name]
    start = time.perf_counter()
    tracemalloc.start()
    try:
        message(content, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 40 * len(content) + 1_000_000
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 20


def test_deep_and_round_structures_end(tmp_path: Path) -> None:
    deep = of(nested(200_000), tmp_path)
    with pytest.raises(ValueError, match="no tensors with names"):
        state_dicts(deep)
    network = Record("Loop", {})
    network.state["_modules"] = {"inner": network}
    with pytest.raises(ValueError, match="100 deep"):
        state_dicts({"G": network})
    network = Record("Leaf", {})
    for _ in range(60):  # 2^60 modules, of which 61 are there
        network = Record("Twice", {"_modules": {"a": network, "b": network}})
    with pytest.raises(ValueError, match="more than 100,000 modules"):
        state_dicts({"G": network})


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read(tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        read(tmp_path)


# ------------------------------------------------------------------------------------------------- the networks of a file

A, B = np.zeros(1), np.ones(2)
MODEL = Record("Model", {"_parameters": {"w": A, "none": None}, "_buffers": {"b": B}, "_modules": {"none": None}})


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        ({"w": A, "b": B}, {"": ["w", "b"]}),
        ({"module.w": A, "module.b": B}, {"": ["w", "b"]}),
        ({"module.w": A, "b": B}, {"": ["module.w", "b"]}),
        ({"w": A, "step": 3, "note": "x"}, {"": ["w"]}),
        ({"G": {"w": A}, "D": {"b": B}, "step": 3}, {"G": ["w"], "D": ["b"]}),
        ({"G": {"module.w": A}, "D": MODEL, "G_ema": MODEL}, {"G": ["w"], "D": ["w", "b"], "G_ema": ["w", "b"]}),
        ({"netG": {"state_dict": {"w": A}}, "epoch": 1}, {"G": ["w"]}),
        ({"netG": {"w": A}, "netD": {"b": B}, "optimizerG": {"state": {}}, "epoch": 3}, {"G": ["w"], "D": ["b"]}),
        (
            {"generator": {"w": A}, "discriminator": {"b": B}, "classifier": {"c": A}},
            {"G": ["w"], "D": ["b"], "classifier": ["c"]},
        ),
        ({"g_ema": {"w": A}, "g": {"w": A}, "d": {"b": B}, "args": 3}, {"G_ema": ["w"], "G": ["w"], "D": ["b"]}),
        ({"G_state_dict": {"w": A}, "D_state_dict": {"b": B}}, {"G": ["w"], "D": ["b"]}),
        ({"model": {"w": A}, "epoch": 3}, {"": ["w"]}),
        ({"model": {"w": A}, "ema": {"b": B}}, {"model": ["w"], "G_ema": ["b"]}),
        ({"model": {"state_dict": {"module.w": A}}}, {"": ["w"]}),
        ({"state_dict": {"generator.w": A, "discriminator.b": B}, "pytorch-lightning_version": "2"}, {"G": ["w"], "D": ["b"]}),
        ({"state_dict": {"model.netG.w": A, "model.netD.b": B}}, {"G": ["w"], "D": ["b"]}),
        ({"_orig_mod.w": A, "_orig_mod.b": B}, {"": ["w", "b"]}),
        ({"netG": {"module._orig_mod.w": A}}, {"G": ["w"]}),
        ({"_orig_mod.module.G.w": A, "_orig_mod.module.D.w": A}, {"G": ["w"], "D": ["w"]}),
        ({"my_generator_v2": {"w": A}, "step": 3}, {"": ["w"]}),
        ({"encoder": {"w": A}, "decoder": {"w": A}}, {"encoder": ["w"], "decoder": ["w"]}),
        ({"state_dict": {"w": A}, "epoch": 1}, {"": ["w"]}),
        (
            {
                "model_state_dict": {"w": A},
                "optimizer_state_dict": {"state": {0: {"m": A}}, "param_groups": []},
                "global_step": 7,
            },
            {"": ["w"]},
        ),
        ({"G.w": A, "D.w": A, "G_ema.x.w": A}, {"G": ["w"], "D": ["w"], "G_ema": ["x.w"]}),
        ({"G/w": A, "D/w": A, "G_ema/w": A}, {"G": ["w"], "D": ["w"], "G_ema": ["w"]}),
        ({"G.module.w": A, "D.w": A}, {"G": ["w"], "D": ["w"]}),
        ({"module.G.w": A, "module.D.w": A}, {"G": ["w"], "D": ["w"]}),
        ({"G.w": A, "w": A}, {"": ["G.w", "w"]}),
        ({"Gw": A, "D.w": A}, {"": ["Gw", "D.w"]}),
        (MODEL, {"": ["w", "b"]}),
        ({"state_dict": MODEL}, {"": ["w", "b"]}),
    ],
)
def test_state_dicts(structure: Any, names: dict[str, list[str]]) -> None:
    assert {name: list(tensors) for name, tensors in state_dicts(structure).items()} == names


@pytest.mark.parametrize(
    "structure", [None, 3, [A], {}, {"a": 1}, {"G": {}}, Record("Empty"), Record("Odd", {"_modules": 3}), A]
)
def test_no_tensors(structure: Any) -> None:
    with pytest.raises(ValueError, match="weights: there are no tensors with names in the file; it holds "):
        state_dicts(structure)
    assert init_kwargs(structure) == {}


def test_the_package_says_what_it_is() -> None:
    assert torch_file.__all__ == ["Name", "Record", "init_kwargs", "read", "state_dicts"]
