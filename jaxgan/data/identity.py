"""Fingerprints of data sets, so that results computed of them can be kept."""

import hashlib
import os
from pathlib import Path

from jaxgan.data import digits, generated, tfds
from jaxgan.data.places import walk
from jaxgan.system.files import home_expanded


def fingerprint(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> str:
    """Changes whenever the files of a data set do: their names, sizes or times.

    Args:
        name: as for `data.load`.
        data_dir: as for `data.load`.
        cache_dir: as for `data.load`.

    Returns:
        16 hexadecimal digits.

    Raises:
        FileNotFoundError, ValueError: as `data.load`.
    """
    if name in generated.NAMES:  # no files: the samples themselves
        samples = [generated.source(name, split).everything()[0] for split in generated.SPLITS]
        return hashlib.sha256(b"".join(each.tobytes() for each in samples)).hexdigest()[:16]
    kind, _, rest = name.partition(":")
    if kind in ("folder", "npz") or name.endswith(".npz"):
        root = home_expanded(rest if kind in ("folder", "npz") and rest else name).absolute()
    else:
        made_of = {"stacked_mnist": "mnist", "halves": "digits"}  # sets that are made of another's files
        plain = made_of.get(name, name.removeprefix("tfds:"))
        if plain == "digits" and name != "tfds:digits":
            data_dir = digits.folder(cache_dir)
        root = Path(tfds.prepared(plain, data_dir).data_path)
    files = sorted(path for path in walk(root) if path.is_file()) if root.is_dir() else [root]
    seen = hashlib.sha256(str(root).encode())
    for path in files:
        about = path.stat()
        seen.update(f"{path.relative_to(root)} {about.st_size} {about.st_mtime_ns}\n".encode())
    return seen.hexdigest()[:16]
