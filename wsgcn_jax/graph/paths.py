"""Which cells of the grid pair up, and which cells lie between them: static geometry."""

from functools import lru_cache

import numpy as np


@lru_cache
def path_offsets(radius: int) -> np.ndarray:
    """Offsets from a node to its partners, one of each opposite pair.

    docs/method.md section 2 (affinity of two nodes); tests/golden/README.md section 1.

    Args:
        radius: partners lie strictly closer than this, in nodes.

    Returns:
        `[p, 2] i32`, `(dy, dx)` in the half plane `dy > 0` or `dy == 0 < dx`, ordered by the
        number of cells on the path. 34 for radius 5, 152 for radius 10. Read-only.
    """
    return _frozen([path[0] for path in paths(radius)])


@lru_cache
def paths(radius: int) -> tuple[np.ndarray, ...]:
    """The cells between the origin and every offset of `path_offsets`.

    docs/method.md section 2: a cell is on the path if it lies in the bounding box of both ends and
    closer than one node to the straight line through them.

    Args:
        radius: as in `path_offsets`; at least 2, for below that nobody has a partner.

    Returns:
        one `[length, 2] i32` of `(y, x)` an offset, from the destination (row 0) to the origin
        (last row), both included. Read-only.

    Raises:
        ValueError: radius is below 2.
    """
    if radius < 2:
        raise ValueError(f"radius is {radius}; it must be at least 2")
    reach = range(-radius + 1, radius)
    offsets = [(0, dx) for dx in reach if dx > 0]
    offsets += [(dy, dx) for dy in reach for dx in reach if dy > 0 and dy**2 + dx**2 < radius**2]
    # Sorting is stable: offsets of equally long paths keep the order in which they were listed.
    return tuple(sorted((_path(dy, dx) for dy, dx in offsets), key=len))


@lru_cache
def square_offsets(radius: int) -> np.ndarray:
    """Offsets to the partners in a square window, one of each opposite pair.

    docs/method.md section 3, Laplacian: the 5x5 window is radius 2.

    Args:
        radius: the window is `2 * radius + 1` nodes wide.

    Returns:
        `[p, 2] i32`, `(dy, dx)` in the half plane `dy > 0` or `dy == 0 < dx`, row-major;
        `p = 2 * radius * (radius + 1)`, which is 12 for radius 2. Read-only.
    """
    reach = range(-radius, radius + 1)
    return _frozen([(dy, dx) for dy in reach for dx in reach if (dy, dx) > (0, 0)])


def _path(dy: int, dx: int) -> np.ndarray:
    cells = [
        (y, x)
        for y in range(min(dy, 0), max(dy, 0) + 1)
        for x in range(min(dx, 0), max(dx, 0) + 1)
        if (dy * x - dx * y) ** 2 < dy**2 + dx**2
    ]
    return _frozen(sorted(cells, key=lambda cell: -abs(cell[0]) - abs(cell[1])))


def _frozen(rows: list) -> np.ndarray:
    array = np.asarray(rows, np.int32).reshape(-1, 2)
    array.setflags(write=False)  # cached: a caller who wrote into it would change everybody's
    return array
