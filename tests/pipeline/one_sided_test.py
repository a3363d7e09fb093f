"""The warning of masks that found nothing, or nothing else."""

import numpy as np
import pytest

from wsgcn_jax.data import write_mask
from wsgcn_jax.pipeline.one_sided import warn_of_one_sided


@pytest.mark.fault("masks that end all background or all object", "a warning that names the photos")
def test_they_are_counted_and_named(tmp_path, capsys):
    both = np.zeros((4, 5), np.uint8)
    both[1:, 2:] = 3
    for name, mask in (("a", both), ("b", 0 * both), ("c", 0 * both), ("d", 0 * both + 3)):
        write_mask(tmp_path / f"{name}.png", mask)
    paths = [tmp_path / f"{name}.png" for name in "abcde"]  # e was left out
    assert warn_of_one_sided(paths) == (["b", "c"], ["d"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("warning: 2 of 5 masks of labelled photos hold no object: b, c; ")
    assert lines[1].startswith("warning: 1 of 5 masks of labelled photos hold no background: d; ")
    assert warn_of_one_sided(paths[:1]) == ([], []) and not capsys.readouterr().err
