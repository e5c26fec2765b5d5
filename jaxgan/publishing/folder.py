"""A folder of files, written whole or, over an older one, file by file."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from jaxgan.system import files


def write(out: Path, contents: Mapping[str, bytes | str]) -> None:
    """Writes files into a folder.

    A folder that is new or empty gets its name once all of them are on the disk. In one that is not, each replaces the file
    of its name, at once; others are left.

    Args:
        out: the folder; the one above it is there.
        contents: by path within the folder.

    Raises:
        OSError: when it cannot be written.
    """
    if out.is_dir() and any(out.iterdir()):
        for name, content in contents.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            files.write(out / name, content)
        return
    with files.scratch(out.parent) as made:
        whole = made / "whole"
        for name, content in contents.items():
            (whole / name).parent.mkdir(parents=True, exist_ok=True)
            files.write(whole / name, content)
        with contextlib.suppress(FileNotFoundError):
            out.rmdir()  # an empty one
        files.place(whole, out)
