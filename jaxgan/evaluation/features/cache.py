"""Trained classifiers kept as safetensors, each with the sha256 of its file beside it."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError

from jaxgan.core.types import PyTree
from jaxgan.system import arrays, files

_SEAL_MOST = 2**16  # bytes


class Damaged(ValueError):
    """A kept file is not as it was written; the message is one line that names the file."""


class Kept(NamedTuple):
    """The content of a file."""

    params: PyTree  # plain nested dicts of numpy arrays
    about: dict[str, Any]
    checksum: str  # sha256 of the file, 64 hexadecimal digits


def packed(params: PyTree, about: dict[str, Any]) -> tuple[bytes, str]:
    """A file's bytes, the same for the same parameters and words, and their sha256.

    Args:
        params: nested dicts of arrays.
        about: what JSON can say of them.
    """
    tensors = {name: np.ascontiguousarray(leaf) for name, leaf in flatten_dict(params, sep="/").items()}
    # One word of metadata: safetensors writes several in any order.
    content = safetensors.numpy.save(tensors, {"jaxgan": json.dumps(about, sort_keys=True)})
    return content, hashlib.sha256(content).hexdigest()


def write(path: Path, content: bytes, checksum: str) -> None:
    """Writes a file and then, as PATH.sha256, its checksum; whoever reads meanwhile sees the old or the new, never a part.

    Raises:
        OSError: when it cannot; what was there is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, content)
    files.write(_seal(path), f"{checksum}  {path.name}\n")


def read(path: Path) -> Kept:
    """Reads what `write` wrote, and nothing else.

    Raises:
        FileNotFoundError: when there is no such file.
        Damaged: when its checksum is another than the one beside it, there is none, or it is no such file.
    """
    try:
        content = files.read(path)
        found = hashlib.sha256(content).hexdigest()
        expected = files.read_text(_seal(path), most=_SEAL_MOST).split(maxsplit=1)
    except files.Missing as error:
        if error.path == path:
            raise
        raise Damaged(f"{path}: no {_seal(path).name} beside it, its sha256 is {found}") from None
    except files.Unreadable as error:
        raise Damaged(str(error)) from error
    if expected[:1] != [found]:
        raise Damaged(f"{path}: its sha256 must be {expected[0] if expected else 'empty'}, but it is {found}")
    try:
        about = files.parse_json(arrays.safetensors_header(content)["__metadata__"]["jaxgan"])
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise Damaged(f"{path}: its checksum is right, but it holds no classifier") from None
    return Kept(unflatten_dict(tensors, sep="/"), about, found)


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
