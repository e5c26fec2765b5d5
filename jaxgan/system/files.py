"""Files: one way to write them, whole or not at all; one way to read them, and to fail at it; one folder for caches.

Nothing else in the library opens a file but the readers of a format on top of `opened` and `read` (`arrays`, `images`).
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from jaxgan.system import debris
from jaxgan.system.messages import FieldError, kind_of, shown

_log = logging.getLogger("jaxgan")
_JSON_MOST = 2**26  # bytes of a JSON file
_DEEPEST = 64  # levels of lists and dicts in JSON
_NOTHING = "there is no such file"
_DIGITS = 300  # of an integer in JSON: one of more is no float64
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_warned: set[str] = set()


class Unreadable(ValueError):
    """A file cannot be read, or is not what its reader takes; reads `PATH: CAUSE`, in one line."""

    def __init__(self, path: str | os.PathLike[str], cause: str | BaseException) -> None:
        """Keeps the file and the cause.

        Args:
            path: of the file.
            cause: in words, or the error that reading led to.
        """
        words = cause if isinstance(cause, str) else told(cause)
        super().__init__(f"{path}: {words}")
        self.path, self.cause = path, words


class Missing(Unreadable, FileNotFoundError):
    """There is no such file, or a folder in its place."""

    def __str__(self) -> str:
        """Returns the message, which OSError would have made of errno."""
        return f"{self.path}: {self.cause}"

    def of(self, field: str) -> FileNotFoundError:
        """Returns the error of a field that names the file: `FIELD: PATH does not exist`, or `FIELD: PATH: it is a folder`."""
        return FileNotFoundError(f"{field}: {self.path}{' does not exist' if self.cause == _NOTHING else f': {self.cause}'}")


def told(error: BaseException) -> str:
    """Returns what went wrong in one short line; the type's name stands for an error without words."""
    words = getattr(error, "strerror", None) or str(error)
    line = " ".join(str(words).split())
    if isinstance(error, (KeyError, RecursionError, MemoryError)) or not line:
        line = f"{type(error).__name__}{f': {line}' if line else ''}"
    return line if len(line) <= 300 else f"{line[:300]} ..."


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder of caches: the one chosen, else JAXGAN_CACHE, else XDG_CACHE_HOME/jaxgan, else ~/.cache/jaxgan."""
    folder = chosen or os.environ.get("JAXGAN_CACHE")
    if not folder:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "jaxgan")
    return home_expanded(folder)


def home_expanded(path: str | os.PathLike[str], field: str = "path") -> Path:
    """Returns a path with `~` replaced by the home folder, or as it is where there is none.

    Args:
        path: as the user gave it.
        field: what it is the path of, for messages.

    Raises:
        FieldError: when the value is no path, or one that no file can have.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise FieldError(field, kind_of(path), "it must be a str or a pathlib.Path")
    if os.fspath(path) == "":  # pathlib would take it for the current folder
        raise FieldError(field, "''", "it must name a file or folder")
    expanded = Path(os.path.expanduser(path))
    try:
        os.lstat(expanded)
    except ValueError:  # a null byte within
        raise FieldError(field, shown(os.fspath(path)), "no file can have such a name") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise FieldError(field, shown(os.fspath(path)), "names of files cannot be that long") from None
    return expanded


def without_cache(folder: Path, error: BaseException | str) -> None:
    """Says that caches are not kept, and why: once, however many of them there would be."""
    root = cache_folder()
    key = str(root if folder.is_relative_to(root) else folder)
    if key not in _warned:
        _warned.add(key)
        words = error if isinstance(error, str) else told(error)
        _log.warning("cache: cannot write %s (%s): going on without; JAXGAN_CACHE names another folder", folder, words)


def is_usable(folder: Path) -> bool:
    """Tells whether a folder of caches can be made and written to and holds only files and folders; if not, says so, once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder) as probe, open(probe / "probe", "wb") as file:
            file.write(bytes(4096))
        with os.scandir(folder) as entries:
            odd = next((each.name for each in entries if not each.is_dir() and not each.is_file()), None)
    except OSError as error:
        without_cache(folder.parent, error)
        return False
    if odd is not None:
        without_cache(folder, f"{odd} in it is no file")
    return odd is None


def check_kind(path: str | os.PathLike[str]) -> os.stat_result:
    """Refuses what is no regular file, without opening it: a pipe would wait for a writer, a device may never end.

    Raises:
        Missing: when there is nothing.
        Unreadable: when it is something else, or cannot be looked at.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise _failed(path, error) from error
    except ValueError as error:  # a zero byte in the name
        raise Unreadable(repr(os.fspath(path)), error) from error
    return _regular(path, found)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Refuses a folder in which something is a pipe, socket or device, before another library waits for it.

    Raises:
        Unreadable: naming it.
    """
    for inside, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inside, name)
            if os.path.exists(path):  # a link that leads nowhere is not waited for
                check_kind(path)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], *, most: int | None = None) -> Iterator[BufferedReader]:
    """Opens a regular file for reading.

    Args:
        path: of the file; links are followed.
        most: bytes that it may have; the machine's memory when None.

    Yields:
        The file, in binary.

    Raises:
        Missing: when there is no such file.
        Unreadable: when it is a folder, pipe, socket or device, larger than `most`, may not be read, or reading fails.
    """
    check_kind(path)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
            size = _regular(path, os.fstat(file.fileno())).st_size
            if size > (memory() if most is None else most):
                where = "this machine's memory has" if most is None else "it may have"
                raise Unreadable(path, f"it is of {size:,} bytes, more than {where}")
            yield file
    except OSError as error:
        raise error if isinstance(error, Unreadable) else _failed(path, error) from error


def read(path: str | os.PathLike[str], *, most: int | None = None) -> bytes:
    """Returns the content of a regular file.

    Raises:
        Missing, Unreadable: as `opened`.
    """
    with opened(path, most=most) as file:
        return file.read()


def read_text(path: str | os.PathLike[str], *, most: int = _JSON_MOST) -> str:
    """Returns the text of a regular file in UTF-8; bytes that are none are replaced by U+FFFD.

    Raises:
        Missing, Unreadable: as `opened`.
    """
    return read(path, most=most).decode("utf-8", errors="replace")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Returns what a file of JSON holds.

    Raises:
        Missing: when there is no such file.
        Unreadable: as `opened`; when it is no UTF-8 or no JSON, or has numbers or nesting beyond reason.
    """
    content = read(path, most=_JSON_MOST)
    try:
        return parse_json(content)
    except ValueError as error:
        raise Unreadable(path, error) from error


def parse_json(content: bytes | str) -> Any:
    """Returns what JSON holds, with limits: 64 levels, integers of 300 digits, and no NaN or infinity, which JSON has not.

    Raises:
        ValueError: when it is no JSON or beyond these limits.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        found = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep") from error
    level = [found]
    for _ in range(_DEEPEST):
        level = [inner for each in level if isinstance(each, (list, dict)) for inner in _inside(each)]
        if not level:
            return found
    raise ValueError(f"it is nested more than {_DEEPEST} levels deep")


def check_writable(field: str, place: Path) -> None:
    """Refuses, before the work, a file or folder to be made or replaced where its user may not write.

    Args:
        field: that names it.
        place: a folder to write into, or a file or new folder in one that exists.

    Raises:
        FieldError: when its folder cannot be written to.
    """
    folder = place if place.is_dir() else Path(os.path.realpath(place)).parent
    allowed = os.access(folder, os.W_OK | os.X_OK)
    try:
        if allowed:
            tempfile.TemporaryFile(dir=folder).close()  # not all that is allowed is possible, as in /proc
    except OSError:
        allowed = False
    if not allowed:
        raise FieldError(field, place, f"{folder if folder != place else 'it'} cannot be written to")


def write(path: str | os.PathLike[str], content: bytes | str | Callable[[IO[bytes]], Any]) -> None:
    """Writes a file so that whoever reads meanwhile, or after a kill or a power cut, sees the old content or the new.

    The content is flushed to the disk before the file takes its name, and its folder after. A link is followed. What killed
    processes left in the folder is removed.

    Args:
        path: the file; its folder is there.
        content: bytes, text (UTF-8), or a function that writes to an open file.

    Raises:
        OSError: when it cannot be written; what was there is intact and nothing is left beside it.
    """
    target = Path(os.path.realpath(path))
    mode = _replaceable(path, target)
    debris.clear(target.parent)
    part = target.with_name(debris.name(target.name))
    try:
        with part.open("xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        # Of a function that fetches what it writes, the connection's error stays as it is.
        fetched = isinstance(error, ConnectionError)
        if isinstance(error, OSError) and not fetched and error.errno and error.filename in (str(part), None):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _sync_folder(target.parent)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes a JSON file, as `write` does.

    Raises:
        OSError: as `write`.
    """
    write(path, json.dumps(content, indent=2) + "\n")


def append(path: str | os.PathLike[str], line: str) -> None:
    """Appends a line to a text file, which is made where there is none; a kill leaves at most this line cut short.

    Raises:
        OSError: when it cannot be written; nothing of it stands there then.
    """
    target = Path(os.path.realpath(path))
    new = _replaceable(path, target) is None
    content = line.encode() + b"\n"
    with target.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise
    if new:
        _sync_folder(target.parent)


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Makes a temporary folder in `root`, on the same disk as what is to be moved there, and removes it at the end.

    Raises:
        OSError: when it cannot be made.
    """
    new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    debris.clear(root, again=True)
    folder = root / debris.name()
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if new:
            with contextlib.suppress(OSError):  # what was made in it stays
                root.rmdir()


def place(made: Path, final: Path) -> None:
    """Moves a folder that is whole to its name, flushed to the disk.

    Raises:
        OSError: when something is there.
    """
    for folder, _, names in os.walk(made):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(folder))
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(made, final)
    _sync_folder(final.parent)


def remove_folder(folder: Path) -> None:
    """Removes a folder at once: whoever reads meanwhile, or after a kill, sees all of it or nothing.

    Raises:
        OSError: when it cannot be moved; all of it is there then.
    """
    left = folder.with_name(debris.name(folder.name))
    os.replace(folder, left)
    shutil.rmtree(left, ignore_errors=True)


def sha256(content: bytes) -> str:
    """Returns the sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def memory() -> int:
    """Returns the bytes of memory that this machine has, or the container's limit."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = read_text("/sys/fs/cgroup/memory.max", most=_JSON_MOST).strip()
    except Unreadable:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


def _failed(path: str | os.PathLike[str], error: OSError) -> Unreadable:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Missing(path, _NOTHING)
    return Unreadable(path, "it is a link that leads to itself" if error.errno == errno.ELOOP else error)


def _regular(path: str | os.PathLike[str], found: os.stat_result) -> os.stat_result:
    if stat.S_ISREG(found.st_mode):
        return found
    words = f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no file')}"
    raise Missing(path, words) if stat.S_ISDIR(found.st_mode) else Unreadable(path, f"{words}, not a file")


def _replaceable(path: str | os.PathLike[str], target: Path) -> int | None:
    """Returns the mode of a file that is there, None where none is; a folder, pipe or device is not to be replaced."""
    try:
        found = os.lstat(target)  # what is a link after all links are followed leads to itself
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "a link that leads to itself")
        raise OSError(errno.EEXIST, f"it is {kind}, not a file", str(path))
    return stat.S_IMODE(found.st_mode)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"it holds an integer of {len(digits):,} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), -float("inf")):
        raise ValueError(f"it holds {digits[:20]}, which is no float64")
    return number


def _no_number(name: str) -> Any:
    raise ValueError(f"it holds {name}, which JSON has not")
