"""Files of weights: where in them the pickles and the storages lie."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from jaxgan.system import arrays, files
from jaxgan.weights.torch_file.machine import Machine
from jaxgan.weights.torch_file.names import Refused, Source, told

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file of torch.save before its zip format
_PROTOCOL = 1001
_GROWTH = 8  # bytes made of one byte of a file: as it lies there, inlined in another, copied, bfloat16 as float32
_SAFE = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf16", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"}
_SAFE |= {"U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1"}


def read(path: str | Path) -> Any:
    """Reads a file of weights and runs nothing of it.

    Args:
        path: `.safetensors`; or of `torch.save`, in its zip format or the one before; or a plain pickle of networks, as
            StyleGAN2-ADA and R3GAN publish them.

    Returns:
        Nested dicts, lists, tuples, sets, strings, numbers, and arrays for tensors, storages and numpy's own arrays, bfloat16
        as float32. Tensors that share a storage are views of one array. Objects of the classes that networks are made of are
        `Record`s; functions and dtypes that stand there as values are `Name`s.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: one line, when it is damaged, or names anything that weights do not need.
    """
    path = Path(path)
    content = files.read(path)
    source = Source(_GROWTH * len(content), lambda inner: _plain(inner, source))
    try:
        if path.suffix == ".safetensors":
            return _flat(content)
        return _zipped(content, source) if content.startswith(b"PK\3\4") else _plain(content, source)
    except Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # whatever damage leads to: here, in numpy or in zipfile
        reason = told(" ".join(f"{type(error).__name__}: {error}".split()))
        raise ValueError(f"{path}: it is damaged or no file of weights ({reason})") from error


def _flat(data: bytes) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file, whose own reader for numpy knows no bfloat16."""
    found = {}
    arrays.safetensors_header(data)
    for name, tensor in safetensors.deserialize(data):
        if tensor["dtype"] not in _SAFE:
            raise Refused(f"{told(name)} is of {told(tensor['dtype'])}, which is not one of {', '.join(_SAFE)}")
        found[name] = _decoded(bytes(tensor["data"]), _SAFE[tensor["dtype"]]).reshape(tensor["shape"])
    return found


def _zipped(data: bytes, source: Source) -> Any:
    """ROOT/data.pkl, and each storage in a file ROOT/data/KEY of its own."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(roots) != 1:
            raise Refused("it is a zip archive, but not of torch.save: it must hold one data.pkl")

        def content(name: str) -> bytes:
            entry = entries.get(roots[0] + name)
            if entry is None:
                raise Refused(f"{told(name)} is missing in it")
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise Refused(f"{told(name)} is compressed in it, which torch.save does not do")
            source.spend(entry.file_size)
            return archive.read(entry)

        word = content("byteorder") if f"{roots[0]}byteorder" in entries else b"little"
        if word not in (b"little", b"big"):
            raise Refused("its byteorder must be little or big")
        known: dict[str, tuple[str, np.ndarray]] = {}

        def storage(code: str, name: str, count: int) -> np.ndarray:
            if name not in known:
                raw = content(f"data/{name}")
                if len(raw) != count * _width(code):
                    raise Refused(f"storage {told(name)} must be of {count * _width(code)} bytes, but it is of {len(raw)}")
                source.spend(2 * len(raw))
                known[name] = code, _decoded(raw, code, ">" if word == b"big" else "<")
            return _same(known[name], code, name, count)

        return Machine(source, storage).run(io.BytesIO(content("data.pkl")))


def _plain(data: bytes, source: Source) -> Any:
    """A pickle; or five of them, and then each storage as its count of numbers, int64, and the numbers."""
    file = io.BytesIO(data)
    first = Machine(source).run(file)
    if not (type(first) is int and first == _MAGIC):
        return first
    if Machine(source).run(file) != _PROTOCOL:
        raise Refused(f"it is of another protocol of torch.save than {_PROTOCOL}")
    Machine(source).run(file)  # about the machine that wrote it; its numbers are little-endian in any case
    known: dict[str, tuple[str, np.ndarray]] = {}

    def storage(code: str, name: str, count: int) -> np.ndarray:
        if name not in known:
            size = count * _width(code)
            if size > len(data):
                raise Refused(f"storage {told(name)} would be of {size} bytes, but the file is of {len(data)}")
            source.spend(2 * size)
            known[name] = code, np.zeros(count, "f4" if code == "bf16" else code)  # filled below: the numbers come last
        return _same(known[name], code, name, count)

    structure = Machine(source, storage).run(file)
    names = Machine(source).run(file)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or sorted(names) != sorted(known):
        raise Refused("its list of storages is not that of its tensors")
    for name in names:
        code, numbers = known[name]
        head = file.read(8)
        if len(head) < 8 or int.from_bytes(head, "little", signed=True) != numbers.size:
            raise Refused(f"storage {told(name)} is of another size than its tensors say, or the file ends before it")
        raw = file.read(numbers.size * _width(code))
        if len(raw) != numbers.size * _width(code):
            raise Refused(f"the file ends within storage {told(name)}")
        numbers[:] = _decoded(raw, code)
    return structure


def _same(found: tuple[str, np.ndarray], code: str, name: str, count: int) -> np.ndarray:
    if found[0] != code or found[1].size != count:
        raise Refused(f"storage {told(name)} is told of in two ways")
    return found[1]


def _decoded(raw: bytes, code: str, order: str = "<") -> np.ndarray:
    """Numbers from their bytes: `[count]`."""
    if code == "bf16":  # the upper half of a float32
        return (np.frombuffer(raw, f"{order}u2").astype("u4") << 16).view("f4")
    if code == "b1":
        return np.frombuffer(raw, "u1") != 0
    return np.frombuffer(raw, order + code).astype(code)


def _width(code: str) -> int:
    return 2 if code == "bf16" else np.dtype(code).itemsize
