"""Damage at random places of a finished run: the same result, or one line that says what to do."""

import random
import re
import shutil
from pathlib import Path

import pytest

from configs import test as tiny
from experiments.report import write_report
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.types import DataError

PLACES, AT_ONCE = 50, 5


def _truncate(path, rng):
    path.write_bytes(path.read_bytes()[: rng.randrange(max(1, path.stat().st_size))])


def _flip(path, rng):
    data = bytearray(path.read_bytes() or b"x")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _zero(path, rng):
    path.write_bytes(bytes(path.stat().st_size))


def _lose(path, rng):
    path.unlink()


def _garble(path, rng):
    path.write_bytes(b'"x"')


def _turn_into_a_folder(path, rng):
    path.unlink()
    path.mkdir()


def _lose_the_folder(path, rng):
    shutil.rmtree(path.parent)


DAMAGES = (_truncate, _flip, _zero, _lose, _garble, _turn_into_a_folder, _lose_the_folder)


def _result(folder):
    masks = (*folder.glob("pseudo_labels/*.png"), *folder.glob("segmenter/val/*.png"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in (*masks, folder / "scores.json")}


def _config():
    config = tiny.get_config()
    config.segmenter.presence = True
    return config


def _run(folder):
    """Runs until it is through, doing what it says must be done."""
    for _ in range(AT_ONCE + 1):
        try:
            skipped = run_stages(_config(), str(folder))
            assert write_report(_config(), folder, skipped)
            return
        except DataError as error:
            assert "\n" not in str(error)
            named = re.search(r"delete (\S+?),", str(error)) or re.search(
                r"(\S+): .*move it", str(error)
            )
            assert named, error
            path = Path(named[1])
            assert path.is_relative_to(folder) and path != folder, error
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    raise AssertionError("what was said did not help")


@pytest.mark.fault(
    "fifty damages at random in a finished run",
    "the same masks and scores, or one line that says what to delete",
)
@pytest.mark.slow
def test_a_run_damaged_in_fifty_places_ends_with_the_same_masks_and_scores(tmp_path):
    whole, copy = tmp_path / "whole", tmp_path / "copy"
    _run(whole)
    expected = _result(whole)
    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    shutil.copytree(whole, copy)
    for place in range(PLACES):
        files = sorted(path for path in copy.rglob("*") if path.is_file() and path.parent != copy)
        damage, path = rng.choice(DAMAGES), rng.choice(files)
        print(f"seed {seed}: {damage.__name__} {path.relative_to(copy)}")
        damage(path, rng)
        if place % AT_ONCE == AT_ONCE - 1:
            _run(copy)
            assert _result(copy) == expected
