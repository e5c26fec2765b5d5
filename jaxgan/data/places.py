"""Places that hold files of pictures: a folder, links followed, or a .zip, which is read and never extracted."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxgan.system import files
from jaxgan.system.messages import FieldError

_MOST = 2**30  # bytes of one file in a .zip


class Place(NamedTuple):
    """Files by name."""

    root: Path
    names: list[str]  # of the files, hidden ones left out, with slashes, in the order of the alphabet
    content: Callable[[str], Path | bytes]  # a name -> the file, or its bytes

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file.

        Raises:
            Missing, Unreadable: when it cannot be read.
        """
        found = self.content(name)
        return found if isinstance(found, bytes) else files.read(found)


def place(path: str | os.PathLike[str]) -> Place:
    """Returns the files of a folder or a .zip.

    Raises:
        FileNotFoundError: when there is no such thing.
        ValueError: when it is a file of another kind, or a damaged .zip.
    """
    root = files.home_expanded(path)
    if root.is_dir():
        return Place(root, sorted(each.relative_to(root).as_posix() for each in walk(root)), root.joinpath)
    if root.suffix.lower() == ".zip" and root.is_file():
        return _zip(root)
    if not root.exists():
        raise FileNotFoundError(f"folder: {root} does not exist; it must be a folder of images or a .zip of one")
    raise ValueError(f"folder: {root} is a file, but it must be a folder of images or a .zip of one")


def walk(root: Path) -> Iterator[Path]:
    """Yields the files below a folder but hidden ones; links to folders are followed, but not to one that they lie in."""
    real: dict[str, tuple[str, ...]] = {str(root): (os.path.realpath(root),)}
    for folder, folders, names in os.walk(root, followlinks=True):
        above = real.pop(folder)
        kept = []
        for name in folders:
            inner = os.path.join(folder, name)
            true = os.path.realpath(inner)
            if not name.startswith(".") and true not in above:
                kept.append(name)
                real[inner] = (*above, true)
        folders[:] = kept
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _zip(root: Path) -> Place:
    files.check_kind(root)
    try:
        archive = zipfile.ZipFile(root)
        entries = {each.filename: each for each in archive.infolist() if not each.is_dir()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FieldError("folder", f"{root} is damaged or no .zip", files.told(error), link=": ") from None

    def content(name: str) -> bytes:
        entry = entries[name]
        if entry.flag_bits & 1 or entry.file_size > min(_MOST, 1_032 * entry.compress_size + 1_024):
            raise ValueError(f"{name} is encrypted, or claims more bytes than it can have")
        return archive.read(entry)

    seen = sorted(name for name in entries if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts))
    return Place(root, seen, content)
