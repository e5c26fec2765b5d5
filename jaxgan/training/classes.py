"""Classes by number and by name, as a user asks for them."""

from collections.abc import Sequence

import numpy as np

from jaxgan.system.messages import FieldError, did_you_mean

_MOST = 10  # classes named in a message


def numbers(class_names: Sequence[str]) -> list[int]:
    """Returns the number by which each class is asked for: its name where all names are numbers, else its place from 0.

    So labels of 1 to 3 stay 1 to 3, though networks count classes from 0.
    """
    if all(name.isascii() and name.isdigit() for name in class_names):
        found = [int(name) for name in class_names]
        if len(set(found)) == len(found):
            return found
    return list(range(len(class_names)))


def indices(asked: Sequence[int | str], class_names: Sequence[str]) -> list[int]:
    """Returns the places of classes that are asked for by name or by number.

    Raises:
        FieldError: for one that there is not, with those that there are.
    """
    by_number = {number: i for i, number in enumerate(numbers(class_names))}
    by_name = {name: i for i, name in reversed(list(enumerate(class_names)))}
    found = []
    for each in asked:
        text = str(each)
        if text in by_name and isinstance(each, str):
            found.append(by_name[text])
        elif text.removeprefix("-").isdigit() and int(text) in by_number:
            found.append(by_number[int(text)])
        else:
            raise FieldError("labels", each, f"the run's classes are {listed(class_names)}{did_you_mean(text, class_names)}")
    return found


def labels(places: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Returns the numbers `[N]` int32 by which the classes at these places are asked for."""
    if not class_names:
        return places
    return np.array(numbers(class_names), np.int32)[places]


def listed(class_names: Sequence[str], counts: Sequence[int] = ()) -> str:
    """Returns classes in words: `0 to 9`, or `0 cat, 1 dog`; with their counts `0 cat (20), 1 dog (30)`."""
    given = numbers(class_names)
    plain = all(str(number) == name for number, name in zip(given, class_names, strict=True))
    if plain and given == list(range(len(given))) and (len(given) > 2 or not counts) and len(set(counts)) <= 1:
        return f"0 to {len(given) - 1}" + (f" ({counts[0]} each)" if counts else "")
    words = [str(number) if plain else f"{number} {_printable(name)}" for number, name in zip(given, class_names, strict=True)]
    if counts:
        words = [f"{word} ({count})" for word, count in zip(words, counts, strict=True)]
    return ", ".join(words[:_MOST]) + (f" and {len(words) - _MOST} more" if len(words) > _MOST else "")


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)
