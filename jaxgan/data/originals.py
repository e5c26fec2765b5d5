"""The files in which MNIST, Fashion-MNIST and CIFAR-10 were published."""

import functools
import gzip
import hashlib
import logging
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxgan.data.source import Arrays
from jaxgan.system import files

_log = logging.getLogger("jaxgan")
_TIMEOUT = 10.0  # seconds without an answer
_SIZES = {
    "mnist": {"train": 60_000, "test": 10_000},
    "fashion_mnist": {"train": 60_000, "test": 10_000},
    "cifar10": {"train": 50_000, "test": 10_000},
}
_IDX_SPLITS = {"train": "train", "test": "t10k"}
_CIFAR_FOLDER = "cifar-10-batches-bin"
_CIFAR_FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}


class Recorded(NamedTuple):
    """Facts about an original file that are known before it is read."""

    url: str
    size: int  # bytes
    sha256: str


class Original(NamedTuple):
    """A data set as published: arrays by split, and the classes' names where the files hold them."""

    splits: dict[str, Arrays]
    class_names: tuple[str, ...]


def download(recorded: Mapping[str, Recorded], folder: Path) -> None:
    """Fetches the files into a folder; a server that does not answer within 10 s ends it.

    Args:
        recorded: the files by name.
        folder: an existing one.

    Raises:
        ValueError: one line with the address and the reason.
    """
    for name, wanted in recorded.items():
        _log.info("downloading %s, %.1f MB", wanted.url, wanted.size / 1e6)
        try:
            with urllib.request.urlopen(wanted.url, timeout=_TIMEOUT) as answer:
                files.write(folder / name, functools.partial(shutil.copyfileobj, answer, length=1 << 20))
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            reason = getattr(error, "reason", None) or error
            raise ValueError(
                f"cannot download {wanted.url}: {reason}; the original files can be given instead, --from DIR"
            ) from None


def read(name: str, folder: Path, recorded: Mapping[str, Recorded]) -> Original:
    """Reads and checks a data set's original files.

    Args:
        name: mnist, fashion_mnist or cifar10.
        folder: holds the files as published, or unpacked.
        recorded: size and checksum of the published files by name.

    Raises:
        FileNotFoundError: one line with the file that is missing.
        ValueError: one line with the file that is damaged or another than the original.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder with the original files of {name}")
    return _cifar(name, folder, recorded) if name == "cifar10" else _idx(name, folder, recorded)


def _idx(name: str, folder: Path, recorded: Mapping[str, Recorded]) -> Original:
    splits = {}
    for split, prefix in _IDX_SPLITS.items():
        count = _SIZES[name][split]
        images = _idx_array(folder, f"{prefix}-images-idx3-ubyte", (count, 28, 28), recorded)
        labels = _idx_array(folder, f"{prefix}-labels-idx1-ubyte", (count,), recorded)
        _check_labels(labels, folder / f"{prefix}-labels-idx1-ubyte")
        splits[split] = images[..., None], labels.astype(np.int32)
    return Original(splits, ())


def _idx_array(folder: Path, name: str, shape: tuple[int, ...], recorded: Mapping[str, Recorded]) -> np.ndarray:
    packed, plain = folder / f"{name}.gz", folder / name
    if packed.is_file():
        _check_original(packed, recorded)
        try:
            content = gzip.decompress(files.read(packed))
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{packed} is damaged: {error}") from None
    elif plain.is_file():
        content = files.read(plain)
    else:
        raise FileNotFoundError(f"{folder} holds neither {packed.name} nor {plain.name}")
    # IDX: two zero bytes, 8 for unsigned bytes, the number of axes, then each axis as a big-endian 32-bit integer.
    header = bytes([0, 0, 8, len(shape)]) + b"".join(axis.to_bytes(4, "big") for axis in shape)
    wanted = "x".join(map(str, shape))
    if content[: len(header)] != header:
        raise ValueError(f"{packed if packed.is_file() else plain} is no IDX file of {wanted} bytes")
    if len(content) != len(header) + np.prod(shape):
        held = len(content) - len(header)
        raise ValueError(f"{packed if packed.is_file() else plain} holds {held} bytes, but {wanted} are wanted")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _cifar(name: str, folder: Path, recorded: Mapping[str, Recorded]) -> Original:
    archive = folder / "cifar-10-binary.tar.gz"
    if archive.is_file():
        _check_original(archive, recorded)
        try:
            # Members are read, never extracted.
            with files.opened(archive) as raw, tarfile.open(fileobj=raw, mode="r:gz") as tar:
                return _cifar_splits(name, archive, lambda file: _member(tar, f"{_CIFAR_FOLDER}/{file}"))
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{archive} is damaged: {error}") from None
    inner = folder / _CIFAR_FOLDER if (folder / _CIFAR_FOLDER).is_dir() else folder
    if not any((inner / file).is_file() for files in _CIFAR_FILES.values() for file in files):
        raise FileNotFoundError(f"{folder} holds neither {archive.name} nor {_CIFAR_FOLDER}")

    def content(file: str) -> bytes | None:
        return files.read(inner / file) if (inner / file).is_file() else None

    return _cifar_splits(name, inner, content)


def _cifar_splits(name: str, where: Path, content: Callable[[str], bytes | None]) -> Original:
    """A record is a byte of label and 3 x 32 x 32 bytes of red, green and blue, row by row."""

    def required(file: str) -> bytes:
        found = content(file)
        if found is None:
            raise FileNotFoundError(f"{where} holds no {file}")
        return found

    splits = {}
    for split, names in _CIFAR_FILES.items():
        count, parts = _SIZES[name][split] // len(names), []
        for file in names:
            records = np.frombuffer(required(file), np.uint8)
            if records.size != count * 3073:
                raise ValueError(f"{where / file} holds {records.size} bytes, but {count} records of 3073 are wanted")
            parts.append(records.reshape(count, 3073))
            _check_labels(parts[-1][:, 0], where / file)
        joined = np.concatenate(parts)
        images = np.ascontiguousarray(joined[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        splits[split] = images, joined[:, 0].astype(np.int32)
    class_names = tuple(required("batches.meta.txt").decode("ascii", "replace").split())
    if len(class_names) != 10:
        raise ValueError(f"{where / 'batches.meta.txt'} holds {len(class_names)} names, but 10 are wanted")
    return Original(splits, class_names)


def _member(tar: tarfile.TarFile, name: str) -> bytes | None:
    try:
        file = tar.extractfile(name)
    except KeyError:
        return None
    return file.read() if file else None


def _check_original(path: Path, recorded: Mapping[str, Recorded]) -> None:
    """Compares a packed file with what is recorded of the published one."""
    if path.name not in recorded:
        return
    wanted, size = recorded[path.name], path.stat().st_size
    if size != wanted.size:
        raise ValueError(f"{path} holds {size} bytes, but the original has {wanted.size}: truncated or another file")
    with files.opened(path) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != wanted.sha256:
            raise ValueError(f"{path} has another sha256 than the original: damaged or another file")


def _check_labels(labels: np.ndarray, path: Path) -> None:
    if labels.max() > 9:
        raise ValueError(f"{path} holds the label {labels.max()}, but they must be from 0 to 9")
