"""The few names that a pickle of weights may use, and what each stands for here: functions that put values together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LARGEST = 2**62


class Refused(ValueError):
    """An error in a file, told in words for its user."""


@dataclass(frozen=True)
class Name:
    """An allowed global where it stands as a value, such as a dtype or an activation; what it names is not loaded."""

    text: str


@dataclass
class Record:
    """An object of an allowed class: what it held, and none of what it could do."""

    name: str  # of its class
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Dtype:
    """numpy's dtype while it is put together."""

    code: str
    order: str = "<"


@dataclass
class Unbuilt:
    """numpy's array before its content is known, and where the memo refers to it."""

    places: list[int] = field(default_factory=list)


@dataclass
class Source:
    """Everything that a pickle may draw on."""

    left: int  # bytes that may still be made of the file: a short one can ask for the same copy a million times
    inlined: Callable[[bytes], Any]  # reads a file within the file

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refused("it would grow to many times its size")


def told(text: str) -> str:
    """Words of a file, fit for a terminal."""
    return (text if text.isprintable() else ascii(text))[:200]


def key(value: Any) -> Any:
    """A key that is cheap to hash: tuples in tuples need not be."""
    plain = (str, int, float, bool, bytes, type(None))
    if type(value) in plain or (type(value) is tuple and all(type(part) in plain for part in value)):
        return value
    raise Refused("it holds a dict or a set with a key that is neither text nor number")


def allowed(module: Any, name: Any) -> Name:
    """The global, when it is one of the few."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise Refused("it names something with what is no text")
    text = f"{module}.{name}"
    if not (text in CALLS or text in STORAGES or text in _VALUES or text.startswith(_CLASSES)):
        raise Refused(f"it names {told(text)}, {_FOREIGN}")
    return Name(text)


def called(source: Source, function: Any, arguments: Any) -> Any:
    """Returns what a function of the few makes of its arguments."""
    if not isinstance(function, Name) or function.text not in CALLS:
        raise Refused(f"it calls {told(function.text) if isinstance(function, Name) else 'what is no name'}, {_FOREIGN}")
    return CALLS[function.text](source, *arguments)


def new(_: Source, kind: Any, *__: Any) -> Any:
    """A new object of a class, before its state."""
    if isinstance(kind, Name) and kind.text in _DICTS:
        return {}
    if not isinstance(kind, Name) or not kind.text.startswith(_CLASSES):
        raise Refused(f"it makes a {told(kind.text) if isinstance(kind, Name) else 'thing without a name'}, {_FOREIGN}")
    return Record(kind.text)


# --------------------------------------------------------------------------------------------------- Python's containers


def _container(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    def make(source: Source, items: Any = ()) -> Any:
        if not isinstance(items, (list, tuple, set, frozenset)):
            raise Refused("it makes a container of something else than a list")
        source.spend(16 * len(items))
        return kind(items)

    return make


def set_of(items: Any) -> set[Any]:
    return {key(item) for item in items}


def _dict(source: Source, items: Any = ()) -> dict[Any, Any]:
    pairs = items.items() if isinstance(items, dict) else items
    source.spend(32 * len(pairs))
    return {key(name): value for name, value in pairs}


def _bytes(source: Source, text: str, encoding: str) -> bytes:
    """Stands in for bytes, as protocol 2 of pickle has them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("it holds bytes in another encoding than latin1")
    source.spend(len(text))
    return text.encode("latin1")


# ------------------------------------------------------------------------------------------------------ PyTorch's tensors


def _tensor(_: Source, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> np.ndarray:
    """A view of a storage `[count]`: entry (i, j, ..) is number offset + i stride_0 + j stride_1 + .. of it."""
    if not isinstance(storage, np.ndarray) or storage.ndim != 1 or len(size) != len(stride) or len(size) > 32:
        raise Refused("it holds a tensor that is not built of a storage, a size and as many strides")
    if not all(type(n) is int and 0 <= n < _LARGEST for n in (offset, *size, *stride)):
        raise Refused("it holds a tensor with sizes or strides that are not allowed")
    if any(isinstance(word, dict) and (word.get("neg") or word.get("conj")) for word in rest):
        raise Refused("it holds a tensor that is to be negated or conjugated when read")
    count = math.prod(size)
    if count == 0:
        return np.zeros(size, storage.dtype)
    needed = max(count, 1 + offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)))
    if needed > storage.size:
        shape = " x ".join(map(str, size)) or "1"
        raise Refused(f"a tensor of {shape} numbers runs past its storage: it needs {needed}, but there are {storage.size}")
    return np.lib.stride_tricks.as_strided(storage[offset:], size, [step * storage.itemsize for step in stride])


def _tensor_of_dtype(source: Source, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> np.ndarray:
    """A tensor of a storage without a type, as those of newer dtypes are; of the rest, the third word is the dtype."""
    name = rest[2].text if len(rest) > 2 and isinstance(rest[2], Name) else "no dtype"
    if name not in _DTYPES or not isinstance(storage, np.ndarray):
        raise Refused(f"it holds a tensor of {told(name)}, which is not one of {', '.join(_DTYPES)}")
    return _tensor(source, storage.view(_DTYPES[name]), offset, size, stride)


def _of_type(source: Source, rebuild: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """A tensor of a subclass or with attributes: the tensor."""
    return called(source, rebuild, arguments)


def _parameter(_: Source, data: Any, *__: Any) -> Any:
    return data


def _inlined(source: Source, content: Any) -> Any:
    """A storage that is a whole file of its own, in the format before the zip."""
    if not isinstance(content, bytes):
        raise Refused("it holds a storage that is no bytes")
    source.spend(len(content))
    return source.inlined(content)


def _persistent(_: Source, meta: Any) -> Record:
    """An object of `torch_utils.persistence`; the source of its class comes with it and is left unread."""
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("state"), dict):
        raise Refused("it holds a persistent object without a state")
    name = meta.get("class_name")
    return Record(name if isinstance(name, str) else "", meta["state"])


def _device(_: Source, *words: Any) -> Record:
    return Record("torch.device", {"device": words})


# --------------------------------------------------------------------------------------------------------- numpy's arrays


def _dtype(_: Source, code: Any, *__: Any) -> Dtype:
    if code not in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"):
        raise Refused("it holds a numpy array of other things than numbers")
    return Dtype(code)


def array(source: Source, raw: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """numpy's array from its bytes."""
    if not isinstance(raw, (bytes, bytearray)) or not isinstance(dtype, Dtype) or order not in ("C", "F"):
        raise Refused("it holds a numpy array without its bytes")
    source.spend(len(raw))
    return np.frombuffer(bytes(raw), dtype.order + dtype.code).astype(dtype.code).reshape(shape, order=order)


def _scalar(source: Source, dtype: Any, raw: Any) -> Any:
    return array(source, raw, dtype, ()).item()


def _unbuilt(_: Source, *__: Any) -> Unbuilt:
    return Unbuilt()


# -------------------------------------------------------------------------------------------------------------- the tables

_BUILTINS = ("builtins", "__builtin__")  # the second is Python 2's name, which protocol 2 keeps
_NUMPY = ("numpy.core", "numpy._core")
_DICTS = ("collections.OrderedDict", "dnnlib.util.EasyDict", *[f"{module}.dict" for module in _BUILTINS])
CALLS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_DICTS, _dict),
    **{f"{module}.{kind}": _container(set_of) for module in _BUILTINS for kind in ("set", "frozenset")},
    **{f"{module}.list": _container(list) for module in _BUILTINS},
    **{f"{module}.tuple": _container(tuple) for module in _BUILTINS},
    **{f"{module}._reconstructor": new for module in ("copyreg", "copy_reg")},
    "_codecs.encode": _bytes,
    "torch.Size": _container(tuple),
    "torch.device": _device,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.storage._load_from_bytes": _inlined,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "numpy.dtype": _dtype,
    **{f"{module}.multiarray.scalar": _scalar for module in _NUMPY},
    **{f"{module}.multiarray._reconstruct": _unbuilt for module in _NUMPY},
    **{f"{module}.numeric._frombuffer": array for module in _NUMPY},
}
_KINDS = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "bf16",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "b1",
    "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}
STORAGES = {f"{module}.{kind}Storage": code for module in ("torch", "torch.cuda") for kind, code in _KINDS.items()}
STORAGES |= {"torch.storage.UntypedStorage": "u1", "torch.UntypedStorage": "u1"}
_DTYPES = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}
_VALUES = {
    *_DTYPES,
    *[f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool", "uint8")],
    *[f"torch.{name}" for name in ("int8", "int16", "int32", "int64", "Tensor")],
    *[f"{module}.object" for module in _BUILTINS],
    "numpy.ndarray",
}
# The classes that networks are made of, and the activations they keep; their objects become records.
_CLASSES = ("torch.nn.", "training.networks", "R3GAN.")
_FOREIGN = "which is not one of the few that weights need; nothing of it was run"
