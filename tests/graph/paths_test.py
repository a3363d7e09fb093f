"""Static geometry against the published tables."""

from pathlib import Path

import numpy as np
import pytest

from wsgcn_jax.graph.paths import path_offsets, paths, square_offsets

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "paths.npz")


@pytest.mark.parametrize("radius", [5, 10])
@pytest.mark.parity("paths")
def test_offsets_and_paths_are_the_published_ones_in_order(radius: int) -> None:
    ours = paths(radius)
    np.testing.assert_array_equal(path_offsets(radius), GOLDEN[f"r{radius}_search_dst"])
    lengths = GOLDEN[f"r{radius}_path_length"]
    assert len(ours) == len(lengths)
    for path, expected, length in zip(ours, GOLDEN[f"r{radius}_paths_flat"], lengths, strict=True):
        np.testing.assert_array_equal(path, expected[:length])


def test_paths_run_from_destination_to_origin() -> None:
    for offset, path in zip(path_offsets(5), paths(5), strict=True):
        np.testing.assert_array_equal(path[0], offset)
        np.testing.assert_array_equal(path[-1], [0, 0])


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_square_offsets_are_half_the_window(radius: int) -> None:
    half = {tuple(o) for o in square_offsets(radius).tolist()}
    reach = range(-radius, radius + 1)
    window = {(y, x) for y in reach for x in reach}
    assert len(half) == len(square_offsets(radius)) == 2 * radius * (radius + 1)
    assert half | {(-y, -x) for y, x in half} | {(0, 0)} == window
    assert all(dy > 0 or (dy == 0 and dx > 0) for dy, dx in half)


def test_radius_without_partners_is_refused() -> None:
    assert len(path_offsets(2)) == 4
    with pytest.raises(ValueError, match="at least 2"):
        paths(1)


def test_tables_cannot_be_written_into() -> None:
    with pytest.raises(ValueError, match="read-only"):
        path_offsets(5)[0] = 7
