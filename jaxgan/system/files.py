"""Files: one way to write them, whole or not at all, and one folder for caches."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder of caches: the one chosen, else JAXGAN_CACHE, else XDG_CACHE_HOME/jaxgan, else ~/.cache/jaxgan."""
    folder = chosen or os.environ.get("JAXGAN_CACHE")
    if not folder:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxgan"
    return Path(folder).expanduser()


def write(path: Path, content: bytes | str | Callable[[IO[bytes]], Any]) -> None:
    """Writes a file so that whoever reads meanwhile, or after a kill, sees the old content or the new, never a part.

    The content is flushed to the disk before the file takes its name.

    Args:
        path: the file; its folder is there.
        content: bytes, text (UTF-8), or a function that writes to an open file.

    Raises:
        OSError: when it cannot be written; what was there is intact and nothing is left beside it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sha256(content: bytes) -> str:
    """Returns the sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
