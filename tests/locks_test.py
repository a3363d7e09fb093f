"""One run at a time in a folder."""

import os
import signal
import subprocess
import sys

import pytest
from etils.epath import Path

from wsgcn_jax.locks import locked
from wsgcn_jax.types import DataError

HOLDER = """
import sys, time
from etils.epath import Path
from wsgcn_jax.locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.mark.fault("two runs in one work folder", "the second one says who works there and ends")
@pytest.mark.fault("a work folder whose run was killed", "it is free")
def test_the_holder_is_named_and_a_killed_one_holds_nothing(tmp_path):
    folder = Path(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "locked\n"
        with (
            pytest.raises(DataError, match=rf"another run works there \(process {process.pid} on "),
            locked(folder),
        ):
            pass
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with locked(folder):
        assert (tmp_path / ".lock.json").exists()
    with locked(folder):
        pass
    assert not (tmp_path / ".lock.json").exists()


@pytest.mark.fault(
    "a damaged note about who holds the lock",
    "the lock holds, its holder is not known",
)
@pytest.mark.parametrize("note", [b"", b"[]", b'{"pid": "x"}', b"\xff"])
def test_a_damaged_note_names_nobody(tmp_path, note):
    folder = Path(tmp_path)
    with locked(folder):
        (tmp_path / ".lock.json").write_bytes(note)
        with pytest.raises(DataError, match="which one is not known"), locked(folder):
            pass
