"""Temporary files and folders: their names say who made them, so that those of a dead process can be removed."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path

_NAME = re.compile(r"\..+-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part", re.DOTALL)
# Of earlier versions: their maker, where it is told, ran on any machine.
_EARLIER = re.compile(r"\..+\.\d+(-[0-9a-f]{8}\.part|\.tmp)|\.jaxgan-[a-z0-9_]{8}", re.DOTALL)
_OLD = 86_400  # seconds after which what another machine made is taken for left
_cleared: set[Path] = set()  # folders that this process has looked through


def name(of: str = "jaxgan") -> str:
    """Returns a new name for a temporary file, which is to take the name `of`: `.OF-MACHINE-PID-RANDOM.part`."""
    return f".{of.encode()[:100].decode(errors='ignore')}-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part"


def clear(folder: Path, *, again: bool = False) -> None:
    """Removes temporary files and folders that a process left in a folder when it was killed.

    What another machine or an earlier version made is removed after a day, since its maker cannot be asked for.

    Args:
        folder: where to look, not below it.
        again: also where this process has looked before.
    """
    if folder in _cleared and not again:
        return
    _cleared.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in [entry for entry in entries if _is_left(entry)]:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def others(folder: Path) -> list[Path]:
    """Returns what is in a folder besides temporary files and folders."""
    return [each for each in folder.iterdir() if not (_NAME.fullmatch(each.name) or _EARLIER.fullmatch(each.name))]


def _is_left(entry: "os.DirEntry[str]") -> bool:
    found = _NAME.fullmatch(entry.name)
    if found is None and not _EARLIER.fullmatch(entry.name):
        return False
    if found is not None and found[1] == _machine():
        return not _is_alive(int(found[2]))
    with contextlib.suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
    return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _machine() -> str:
    """Returns a digest of what makes a process's number unique: the host, and the container on it."""
    container = ""
    with contextlib.suppress(OSError):
        container = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{os.uname().nodename} {container}".encode()).hexdigest()[:8]
