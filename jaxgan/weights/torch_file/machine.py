"""The pickle machine, with those operations only that put values together."""

import io
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgan.weights.torch_file import names
from jaxgan.weights.torch_file.names import Refused

Storage = Callable[[str, str, int], np.ndarray]  # (type, key, count) -> [count]

_PUSH = {  # operations that put their argument on the stack
    *("STRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _no_storage(code: str, name: str, count: int) -> np.ndarray:
    raise Refused(f"it tells of storage {names.told(name)} of {count} {code}, which lies outside it")


class Machine:
    """A stack, a memo, and what the operations do to them."""

    def __init__(self, source: names.Source, storage: Storage = _no_storage) -> None:
        self.source, self.storage = source, storage
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stack under each mark
        self.memo: dict[int, Any] = {}

    def run(self, file: io.BytesIO) -> Any:
        """Runs one pickle and leaves the file at its end."""
        for operation, argument, _ in pickletools.genops(file):
            name = operation.name
            if name in _PUSH:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _TUPLES:
                self.stack.append(self.taken(_TUPLES[name]))
            elif not (self.contain(name) or self.remember(name, argument) or self.make(name, argument)):
                raise Refused(f"it uses the pickle operation {name}, which weights do not need")
        return self.stack.pop()

    def taken(self, count: int) -> tuple[Any, ...]:
        """The uppermost values, in the order in which they were put there."""
        return tuple([self.stack.pop() for _ in range(count)][::-1])

    def marked(self) -> list[Any]:
        """All above the last mark, which goes with them."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def contain(self, name: str) -> bool:
        """Lists, tuples, dicts and sets."""
        match name:
            case "MARK":
                self.below.append(self.stack)
                self.stack = []
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append({})
            case "EMPTY_SET":
                self.stack.append(set())
            case "LIST":
                items = self.marked()
                self.stack.append(items)
            case "TUPLE":
                items = self.marked()
                self.stack.append(tuple(items))
            case "FROZENSET":
                items = self.marked()
                self.stack.append(names.set_of(items))
            case "DICT":
                items = self.marked()
                self.stack.append({})
                self.extend(items)
            case "APPEND":
                self.extend(self.taken(1))
            case "SETITEM":
                self.extend(self.taken(2))
            case "APPENDS" | "SETITEMS" | "ADDITEMS":
                self.extend(self.marked())
            case _:
                return False
        return True

    def extend(self, items: list[Any] | tuple[Any, ...]) -> None:
        into = self.stack[-1]
        if isinstance(into, list):
            into.extend(items)
        elif isinstance(into, set):
            into.update(names.set_of(items))
        elif isinstance(into, dict):
            into.update((names.key(name), value) for name, value in zip(items[::2], items[1::2], strict=True))
        else:
            raise Refused("it fills something that is no list, set or dict")

    def remember(self, name: str, argument: Any) -> bool:
        """The memo, and what only moves the stack."""
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                place = len(self.memo) if name == "MEMOIZE" else argument
                self.memo[place] = self.stack[-1]
                if isinstance(self.stack[-1], names.Unbuilt):
                    self.stack[-1].places.append(place)
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "DUP":
                self.stack.append(self.stack[-1])
            case "POP" if self.stack:
                self.stack.pop()
            case "POP" | "POP_MARK":
                self.marked()
            case _:
                return False
        return True

    def make(self, name: str, argument: Any) -> bool:
        """Names, and objects made of them."""
        match name:
            case "GLOBAL" | "INST":
                self.stack.append(names.allowed(*argument.split(" ", 1)))
                return name == "GLOBAL"
            case "STACK_GLOBAL":
                self.stack.append(names.allowed(*self.taken(2)))
            case "REDUCE":
                self.stack.append(names.called(self.source, *self.taken(2)))
            case "NEWOBJ" | "NEWOBJ_EX":
                self.stack.append(names.new(self.source, self.taken(2 if name == "NEWOBJ" else 3)[0]))
            case "BUILD":
                self.build(*self.taken(2))
            case "BINPERSID":
                self.stack.append(self.stored(*self.taken(1)))
            case _:
                return False
        return True

    def stored(self, reference: Any) -> Any:
        """A storage, or a part of it: `("storage", type, key, location, count[, (key, offset, count)])`.

        Or a class with its source, which is left unread: `("module", class, file, source)`.
        """
        if isinstance(reference, tuple) and len(reference) == 4 and reference[0] == "module":
            return reference[1]
        if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
            raise Refused("it refers to something outside it that is no storage")
        _, kind, name, _, count = reference[:5]
        if not isinstance(kind, names.Name) or kind.text not in names.STORAGES:
            raise Refused("it tells of a storage that is of no known type")
        if not isinstance(name, str) or type(count) is not int or not 0 <= count < 2**62:
            raise Refused("it tells of a storage without a name or a size")
        whole = self.storage(names.STORAGES[kind.text], name, count)
        if len(reference) == 5 or reference[5] is None:
            return whole
        _, start, length = reference[5]
        if type(start) is not int or type(length) is not int or min(start, length, count - start - length) < 0:
            raise Refused(f"it tells of a part of storage {names.told(name)} that runs past it")
        return whole[start : start + length]

    def build(self, thing: Any, state: Any) -> None:
        """Gives an object its state and puts it back."""
        if isinstance(thing, names.Record):
            if isinstance(state, tuple):  # of the object and of its slots
                self.source.spend(32 * sum(len(part or ()) for part in state))
                state = {name: value for part in state for name, value in (part or {}).items()}
            if not isinstance(state, dict):
                raise Refused(f"it holds a {names.told(thing.name)} whose state is no dict")
            thing.state = state
        elif isinstance(thing, names.Dtype):
            if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
                raise Refused("it holds a numpy array of other things than numbers")
            thing.order = state[1]
        elif isinstance(thing, names.Unbuilt):
            _, shape, dtype, fortran, raw = state
            places, thing = thing.places, names.array(self.source, raw, dtype, shape, "F" if fortran else "C")
            self.memo |= dict.fromkeys(places, thing)
        elif not isinstance(thing, dict):  # a dict's are its attributes, such as the versions of a state dict
            raise Refused("it gives a state to something that has none")
        self.stack.append(thing)
