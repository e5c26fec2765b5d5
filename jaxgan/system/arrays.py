"""Files of arrays: .npy, .npz and the head of .safetensors; sizes are compared before anything is read or allocated."""

import io
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxgan.system import files

_RATIO = 1_032  # bytes that deflate makes of one at most
_HEAD = 100_000_000  # bytes of a safetensors header, as its own library allows


def npz(path: str | os.PathLike[str], keys: Sequence[str] | None = None) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads plain arrays of an .npz file; nothing is unpickled.

    Args:
        path: of the file.
        keys: names to read where they are there; all when None.

    Returns:
        The arrays by name, and the names of all.

    Raises:
        Missing: when there is no such file.
        Unreadable: when it is no such archive, is encrypted, or an array claims another size than its entry has.
    """
    with files.opened(path) as raw:
        try:
            with zipfile.ZipFile(raw) as archive:
                entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
                wanted = [name for name in entries if keys is None or name in keys]
                return {name: _entry(archive, entries[name]) for name in wanted}, list(entries)
        except Exception as error:  # whatever damage leads to: in zipfile, in zlib, in numpy's header
            raise files.Unreadable(path, error) from error


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays by name as a compressed .npz file, all of it or nothing.

    Raises:
        OSError: when it cannot be written.
    """
    files.write(path, lambda file: np.savez_compressed(file, **arrays))


def npy(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads the plain array of an .npy file.

    Raises:
        Missing: when there is no such file.
        Unreadable: when it is no such file, or claims another size than it has.
    """
    with files.opened(path) as raw:
        try:
            return _array(raw, os.fstat(raw.fileno()).st_size)
        except Exception as error:  # as above
            raise files.Unreadable(path, error) from error


def safetensors_header(content: bytes) -> dict[str, Any]:
    """Returns the header of a safetensors file: the length of a JSON text, 8 bytes, and the text.

    Raises:
        ValueError: when there is none, it claims more bytes than there are, or is nested beyond reason.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, _HEAD):
        raise ValueError(f"it claims a header of {length:,} bytes, but it is of {len(content):,}")
    header = files.parse_json(content[8 : 8 + length])
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ValueError("its header is no set of tensors")
    return header


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    if entry.flag_bits & 1:
        raise ValueError(f"{entry.filename} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is compressed in a way that numpy does not use")
    if entry.file_size > min(_RATIO * entry.compress_size + 1_024, files.memory()):
        raise ValueError(f"{entry.filename} claims {entry.file_size:,} bytes, of {entry.compress_size:,}")
    with archive.open(entry) as file:
        return _array(io.BytesIO(file.read()), entry.file_size)


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """Reads an array of the .npy format after a look at its header; `size` is that of the file."""
    version = np.lib.format.read_magic(file)
    heads: dict[Any, Any] = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in heads:
        raise ValueError(f"it is of version {version[0]}.{version[1]} of the format, not of 1.0 or 2.0")
    shape, _, dtype = heads[version](file)
    held, claimed = size - file.tell(), math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not unpickled")
    if claimed != held or any(side < 0 for side in shape):
        raise ValueError(f"its header claims {claimed:,} bytes, but {held:,} are there")
    file.seek(0)
    found: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return found
