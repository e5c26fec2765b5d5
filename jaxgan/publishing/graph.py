"""An ONNX graph as it is built: nodes, weights, and sizes that follow the batch."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxgan.system.messages import FieldError

OPSET = 17  # of 2022: read by onnxruntime 1.12 and newer, and by browsers' runtimes
IR_VERSION = 8
BATCH = "B"  # the symbolic size
Value = Any  # a NumPy array that is known, or the name of a tensor
_ENDLESS = np.iinfo(np.int64).max
_OF_BATCH = re.compile(rf"^(?:(\d+)\*)?{BATCH}(?: ([+-]) (\d+))?$")


class Graph:
    """Nodes in order, and the arrays they hold. Attributes: `nodes`, `arrays` by name."""

    def __init__(self, first: str) -> None:
        """Starts a graph.

        Args:
            first: the input whose first side is the batch.
        """
        self.nodes: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._first, self._count = first, 0
        self._sizes: dict[str, str] = {}
        self._makers: dict[str, Any] = {}
        # Tensors that stand for larger ones, to which they are broadcast: by name, the larger shape.
        self.broadcast: dict[str, tuple[Any, ...]] = {}

    def add(self, operator: str, *inputs: Value, name: str | None = None, outputs: int = 1, **attributes: Any) -> Any:
        """Appends a node; returns the name of its output, or a list of several."""
        from onnx import helper

        names = [self._new() for _ in range(outputs)] if name is None else [name]
        node = helper.make_node(operator, [self.named(each) for each in inputs], names, **attributes)
        self.nodes.append(node)
        self._makers.update(dict.fromkeys(names, node))
        return names[0] if outputs == 1 else names

    def named(self, value: Value) -> str:
        """Returns the name of a tensor; of an array, under which it is kept."""
        if isinstance(value, str):
            return value
        name = self._new("w")
        self.arrays[name] = np.asarray(value)
        return name

    def made_by(self, value: Value) -> Any:
        """Returns the node that makes a tensor; None of an input or a known array."""
        return self._makers.get(value) if isinstance(value, str) else None

    def drop_unused(self, output: str) -> None:
        """Drops nodes and arrays that an output does not rest on."""
        wanted, kept = {output}, []
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.output):
                kept.append(node)
                wanted.update(node.input)
        self.nodes = kept[::-1]
        self.arrays = {name: array for name, array in self.arrays.items() if name in wanted}

    def whole(self, value: Value) -> Value:
        """Returns a value in its full shape, where it stands for a larger one."""
        shape = self.broadcast.get(value) if isinstance(value, str) else None
        return value if shape is None else self.add("Expand", value, self.sides(shape))

    def sides(self, shape: Iterable[Any]) -> Value:
        """Returns a shape as a vector, of known numbers where no side follows the batch."""
        shape = list(shape)
        if all(isinstance(side, int) for side in shape):
            return np.array(shape, np.int64)
        return self.add("Concat", *(self._side(side) for side in shape), axis=0)

    def reshape(self, value: Value, before: Sequence[Any], after: Sequence[Any]) -> Value:
        """Returns a tensor in another shape; sides that follow the batch need not be computed where one is."""
        sides = [0 if i < len(before) and side is before[i] else side for i, side in enumerate(after)]
        sides = [0 if i < len(before) and not isinstance(s, int) and s == before[i] else s for i, s in enumerate(sides)]
        symbolic = [i for i, side in enumerate(sides) if not isinstance(side, int)]
        if len(symbolic) > 1:
            return self.add("Reshape", value, self.sides(after))
        fixed = [int(side) if isinstance(side, int) else -1 for side in sides]
        return self.add("Reshape", value, np.array(fixed, np.int64))

    def cut(
        self, value: Value, starts: Sequence[int], ends: Sequence[Any], steps: Sequence[int], shape: Sequence[Any]
    ) -> Value:
        """Returns a part of a tensor of a shape; axes that are taken whole are left out."""
        axes = [
            axis
            for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True))
            if (start, step) != (0, 1) or not _same(end, shape[axis])
        ]
        if not axes:
            return value
        to = [_ENDLESS if _same(ends[axis], shape[axis]) else _number(ends[axis]) for axis in axes]
        parts = ([starts[axis] for axis in axes], to, axes, [steps[axis] for axis in axes])
        return self.add("Slice", value, *(np.array(part, np.int64) for part in parts))

    def _side(self, side: Any) -> Value:
        if isinstance(side, int):
            return np.array([side], np.int64)
        if (text := str(side)) not in self._sizes:
            if (found := _OF_BATCH.match(text)) is None:
                raise FieldError(
                    "generator", f"a side of {text} for batches of {BATCH}", "ONNX is written of multiples of the batch"
                )
            times, sign, more = found.groups()
            size = self.add("Slice", self.add("Shape", self._first), *(np.array([n], np.int64) for n in (0, 1)))
            size = self.add("Mul", size, np.array([int(times)], np.int64)) if times else size
            self._sizes[text] = self.add("Add", size, np.array([int(sign + more)], np.int64)) if more else size
        return self._sizes[text]

    def _new(self, start: str = "t") -> str:
        self._count += 1
        return f"{start}{self._count}"


def _same(one: Any, other: Any) -> bool:
    return bool(isinstance(one, int) == isinstance(other, int) and one == other)


def _number(side: Any) -> int:
    if isinstance(side, int):
        return side
    raise FieldError("generator", f"a part up to {side} of a batch", "ONNX is written of functions of single samples")
