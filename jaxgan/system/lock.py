"""A lock on a folder that one process at a time writes to; the operating system lets go of it when the process ends."""

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jaxgan.system import files

if sys.platform != "win32":  # there nothing is locked
    import fcntl

NAME = ".lock"  # in the folder; whoever lets go of the lock removes it


class Held(RuntimeError):
    """Another process holds the lock; the message says which."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which is there.

    The lock is the kernel's (`flock`), so that none outlives its process, however that ended. It is seen by other hosts
    where the file system carries such locks over, as NFS does; where it knows none, nothing is locked. Whoever only reads
    needs no lock.

    Raises:
        Held: when another process has it, with its number, host and since when.
        OSError: when the file cannot be opened.
    """
    if sys.platform == "win32":
        yield
        return
    path = folder / NAME
    _held[path] = _taken(path)
    try:
        yield
    finally:
        number = _held.pop(path, None)
        if number is not None:  # as it is in a forked child
            with contextlib.suppress(OSError):  # the folder may be gone, or closed to writing by now
                if _is_at(number, path):
                    path.unlink()
            os.close(number)


def keep(folder: Path) -> None:
    """Takes a lock that this process holds once more where its folder was removed or moved meanwhile, and makes the folder.

    Raises:
        Held: when another process has begun there since.
        OSError: when the folder cannot be made, or the file not be opened.
    """
    path = folder / NAME
    number = _held.get(path)
    if number is None or _is_at(number, path):
        return
    folder.mkdir(parents=True, exist_ok=True)
    _held[path] = _taken(path)
    os.close(number)


_held: dict[Path, int] = {}  # locks that this process holds, with their descriptors


def _let_go() -> None:
    """Closes them in a forked child: it shares the locks, and would hold them for longer than its parent lives."""
    for number in _held.values():
        os.close(number)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _taken(path: Path) -> int:
    """Opens a file and locks it, until the file that is locked is the one of that name: whoever had it may have removed it."""
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _take(number)
        except BaseException:
            os.close(number)
            raise
        if _is_at(number, path):
            return number
        os.close(number)


def _is_at(number: int, path: Path) -> bool:
    """Tells whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


def _take(number: int) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise Held(_holder(os.pread(number, 1_000, 0))) from error
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    about = {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):  # on a full disk it is held all the same
        os.ftruncate(number, 0)
        os.pwrite(number, json.dumps(about).encode(), 0)


def _holder(content: bytes) -> str:
    try:
        about = files.parse_json(content)
        return f"process {about['process']} on {about['host']} has been writing to it since {about['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process is writing to it"
