"""Sides of images that networks of doubling stages make: 4 times a power of two."""

_MOST = 4_096  # a side beyond is told as the sides next to this one


def near(size: int, *, least: int = 4) -> str:
    """Returns the sides next to one that no such network makes, in words: `16 or 32 (4 times a power of two, from 8 on)`.

    Args:
        size: side asked for, in pixels.
        least: smallest side that the network makes.
    """
    below = 2 ** (min(max(size, 1), _MOST).bit_length() - 1)
    sides = [side for side in (below, 2 * below) if side >= least] or [least]
    return f"{' or '.join(map(str, sides))} (4 times a power of two, from {least} on)"
