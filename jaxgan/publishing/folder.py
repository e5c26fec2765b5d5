"""A folder of files, written whole or, over an older one, file by file."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from jaxgan.system import files
from jaxgan.system.messages import FieldError


def check(out: Path, overwrite: bool) -> None:
    """Refuses a folder that holds something, unless its files may be replaced.

    Raises:
        FieldError: when it is not empty.
    """
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise FieldError("out", out, "it is not empty; --overwrite replaces the files in it that have the names of new ones")


def write(out: Path, contents: Mapping[str, bytes | str], *, overwrite: bool = False) -> None:
    """Writes files into a folder.

    A folder that is new or empty gets its name once all of them are on the disk. In one that is not, each replaces the file
    of its name, at once; others are left.

    Args:
        out: the folder; the one above it is there.
        contents: by path within the folder.
        overwrite: write into one that is not empty.

    Raises:
        FieldError: when it is not empty by now: another process may have written to it meanwhile.
        OSError: when it cannot be written.
    """
    check(out, overwrite)
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
        try:
            with contextlib.suppress(FileNotFoundError):
                out.rmdir()  # an empty one
            files.place(whole, out)
        except OSError:
            check(out, overwrite)  # another process was faster
            raise
