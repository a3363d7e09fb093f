"""The whole pipeline in an imitation of Google Cloud Storage (`pip install -e .[gcs-test]`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import free_port

from experiments.predict import predict_folder
from wsgcn_jax.data import ShapesSource, read_mask

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
_RUN = "gs://bucket/runs/tiny"
_SERVER = """
import sys, threading
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects
plain = objects.download

def download(request, response, storage, *rest, **named):
    # TensorStore reads a file's generation from this header, which the imitation lacks.
    try:
        file = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
        response["x-goog-generation"] = file["generation"]
    except NotFound:
        pass
    return plain(request, response, storage, *rest, **named)

objects.download = download
from gcp_storage_emulator.server import create_server
create_server("localhost", int(sys.argv[1]), in_memory=True, default_bucket="bucket").start()
print("listening", flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def environment():
    """What a process needs to find the bucket."""
    pytest.importorskip("gcsfs")
    pytest.importorskip("gcp_storage_emulator")
    port = free_port()
    address = f"http://localhost:{port}"
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(port)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline() == "listening\n"
        yield {
            **os.environ,
            "STORAGE_EMULATOR_HOST": address,
            "TENSORSTORE_GCS_HTTP_URL": address,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
        server.kill()


def _command(environment, cache, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *map(str, arguments)],
        cwd=ROOT,
        env={**environment, "WSGCN_JAX_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_the_road_ends_in_a_bucket_as_on_a_disk(environment, tmp_path):
    train = ("experiments.train", "--config=configs/test.py")
    here = tmp_path / "here"
    _command(environment, tmp_path, *train, f"--workdir={here}")
    first = tmp_path / "one machine"
    _command(environment, first, *train, f"--workdir={_RUN}", "--config.stages=data,classifier")
    second = tmp_path / "another"
    rest = _command(environment, second, *train, f"--workdir={_RUN}")
    assert "[classifier] is current" in rest.stderr
    assert "report.html" in rest.stdout
    again = _command(environment, second, *train, f"--workdir={_RUN}")
    assert again.stderr.count("is current") == 7

    photos = tmp_path / "photos"
    photos.mkdir()
    source = ShapesSource(num_train=1, num_val=2)
    for name in source.listing()["val"]:
        (photos / f"{name}.png").write_bytes(source.read("val", name).image)
    out = tmp_path / "masks"
    _command(
        environment,
        second,
        "experiments.predict",
        *(f"--checkpoint={_RUN}", f"--images={photos}", f"--out={out}"),
    )
    predict_folder(here, photos, tmp_path / "here masks", crf=False)
    for name in source.listing()["val"]:
        there = read_mask(out / f"{name}.png")
        np.testing.assert_array_equal(there, read_mask(tmp_path / "here masks" / f"{name}.png"))
    printed = json.loads((here / "scores.json").read_text())
    assert f"{printed['train']['gcn']['miou']:.1f}" in again.stdout
