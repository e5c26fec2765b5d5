"""Messages for a user's mistakes: one line that names the field, its value and what is allowed."""

import contextlib
import difflib
import io
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

_CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode: controls, halves of characters, ends of lines and paragraphs
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they turn the direction of what follows
_LONGEST = 160  # letters of a value in a message
_UNREADABLE = 10**30  # integers from here on are told by their length


class FieldError(ValueError):
    """A field has a value that it may not have; reads `FIELD: VALUE, but ALLOWED`."""

    def __init__(self, field: str, value: Any, allowed: str, *, link: str = ", but ") -> None:
        """Keeps the parts of the message, so that a caller can name the field by its full path.

        Args:
            field: path of the field, for instance `generator.width`.
            value: what it was given, in words or as a number.
            allowed: what it may be, or why it cannot be this.
            link: what stands between the two.
        """
        told = str(value) if isinstance(value, (str, os.PathLike)) else shown(value, str)  # a path is told whole
        super().__init__(one_line(f"{field}: {told}{link}{' '.join(allowed.splitlines())}"))
        self.field, self.value, self.allowed, self.link = field, value, allowed, link

    def renamed(self, field: str) -> "FieldError":
        """Returns the same error about a field of another name."""
        return FieldError(field, self.value, self.allowed, link=self.link)

    def within(self, prefix: str) -> "FieldError":
        """Returns the same error about the field `PREFIX.FIELD`."""
        return self.renamed(f"{prefix}.{self.field}")


def one_line(text: str) -> str:
    """Returns a text with ends of lines and other control characters escaped; a terminal would obey them."""
    return "".join(ascii(each)[1:-1] if unicodedata.category(each) in _CONTROLS or each in _TURNS else each for each in text)


def shown(value: Any, text: Callable[[Any], str] = repr) -> str:
    """Returns a value as a message shows it: on one line, and cut where it is long.

    Args:
        value: anything that a user may have given.
        text: what makes a text of it.
    """
    if isinstance(value, int) and abs(value) >= _UNREADABLE:
        return f"an integer of {value.bit_length():,} bits"
    try:
        line = one_line(" ".join(text(value).splitlines()))
    except Exception:  # a user's class may raise anything, and Python raises for a tuple that holds so large an integer
        return kind_of(value)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}.."


def as_tuple(field: str, given: Any) -> tuple[Any, ...]:
    """Returns several values that were given in any iterable.

    Raises:
        FieldError: when it is a text, or nothing that can be gone through.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise FieldError(field, shown(given), "they must be a list or a tuple")
    return tuple(given)


def not_one_of(field: str, value: Any, allowed: Iterable[str], *, note: str = "") -> FieldError:
    """Returns the error of a name that is unknown: `FIELD: 'VALUE' is not one of A, B; did you mean 'A'?`.

    Args:
        field: its path.
        value: what it was given.
        allowed: the names there are.
        note: to add after them, in place of the name that was probably meant.
    """
    allowed = list(allowed)
    meant = did_you_mean(value, allowed) if isinstance(value, str) and not note else ""
    return FieldError(field, shown(value), f"{', '.join(allowed)}{note}{meant}", link=" is not one of ")


def no_such_field(path: str, known: Iterable[str]) -> FieldError:
    """Returns the error of a field that a part does not have: `PATH: no such field; did you mean 'width'?`."""
    meant = did_you_mean(path.rpartition(".")[2], known).removeprefix("; ")
    return FieldError(path, "no such field", meant, link="; " if meant else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean 'hinge'?`, or nothing when no known word is near."""
    near = nearest_word(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Returns the known word that is nearest, or None when none is near; capitals are the same as small letters."""
    words = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), words, n=1)
    return words[near[0]] if near else None


def kind_of(value: Any) -> str:
    """Returns what a value is, in words: `a str`, `an int`, `nothing`, `the class Adam`."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    article = "an" if name[0] in "aeioAEIO" or name.startswith("nd") else "a"  # as they are spoken: a uint8, an ndarray
    return "nothing" if value is None else f"{article} {name}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Returns words as a sentence lists them: `a, b and c`."""
    *others, final = words
    return f"{', '.join(others)} {last} {final}" if others else final


def kind_of_samples(shape: Sequence[int]) -> str:
    """Returns what samples of a shape are, in words: `points in the plane`, `rows of 11 numbers`, `images`."""
    if len(shape) == 1:
        return "points in the plane" if shape[0] == 2 else f"rows of {shape[0]} numbers"
    return {2: "signals", 3: "images", 4: "volumes"}.get(len(shape), f"samples of shape {tuple(shape)}")


def say(line: str) -> None:
    """Prints a line to stderr; where that is closed, broken or on a full disk, the work goes on without it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(line, file=sys.stderr, flush=True)


def tell(line: str) -> None:
    """Logs a line as information; where nobody has set up logging, as in a notebook or a script, prints it to stderr.

    A handler alone does not count, since other libraries add one to the root logger: the level INFO must be enabled too. Any
    level that is set on the logger `jaxgan` counts.
    """
    log = logging.getLogger("jaxgan")
    if log.level or (log.hasHandlers() and log.isEnabledFor(logging.INFO)):
        log.info("%s", line)
    else:
        say(line)


class _Nothing(io.RawIOBase):
    """Takes everything and keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return len(content)


class Unfailing:
    """A text stream that drops what it cannot write: a log on a full disk or a closed pipe must not end the work."""

    def __init__(self, stream: TextIO | None) -> None:
        """Keeps the stream; None stands for one that was closed before the program began, and drops everything."""
        self._stream = stream if stream is not None else io.TextIOWrapper(io.BufferedWriter(_Nothing()))
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        """Returns everything else that the stream has."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes what can be written."""
        with self._noticed():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        with self._noticed():
            self._stream.flush()

    @contextlib.contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            self.broken = True


def occupy_standard_streams() -> None:
    """Opens the null device in place of each standard stream that was closed before the program began.

    Otherwise the next file to be opened would get its number, and what libraries write to stderr would go into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
