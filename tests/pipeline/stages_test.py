"""What decides whether a stage is current."""

import pytest

from configs import test as tiny
from wsgcn_jax.pipeline import stages
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.workspace import Workspace


def _fingerprints(tmp_path, **crf):
    config = tiny.get_config()
    with config.unlocked():
        config.crf.update(crf)
    return stages.fingerprints(Context(config, Workspace(str(tmp_path))))


@pytest.mark.parametrize(
    ("change", "boundary_stays"), [({"seeds": False}, True), ({"sigma_rgb": 7.0}, False)]
)
def test_boundary_network_outlives_changes_of_the_crf_that_it_does_not_read(
    tmp_path, change, boundary_stays
):
    before, after = _fingerprints(tmp_path), _fingerprints(tmp_path, **change)
    assert (before["boundary"] == after["boundary"]) == boundary_stays
    assert before["pseudo_labels"] != after["pseudo_labels"]
    assert before["cams"] == after["cams"]
