"""What a run is given, looked at before anything is touched."""

import pytest
from PIL import Image

from configs import test as tiny
from wsgcn_jax.pipeline.stages import run_stages
from wsgcn_jax.types import DataError


@pytest.mark.fault("a run in the folder of its photos", "one line; not a file is made")
@pytest.mark.parametrize(("labels", "inside"), [(None, "runs/pets"), ("labels.csv", "")])
def test_no_run_among_its_photos(tmp_path, labels, inside):
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "cat" / "a.png")
    (tmp_path / "labels.csv" if labels else tmp_path / "notes.txt").write_text("cat/a.png,cat\n")
    before = sorted(tmp_path.rglob("*"))
    config = tiny.get_config()
    config.data.update(source="folder", root=str(tmp_path), labels=labels, val_split=None)
    with pytest.raises(DataError, match=r"workdir: .*; name a|results would be taken for photos"):
        run_stages(config, str(tmp_path / inside))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.fault("`data.val_split` of photos without such a list", "one line, with the key")
def test_a_split_that_is_not_there_is_named_by_its_key(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (32, 24)).save(tmp_path / "cat" / "a.png")
    config = tiny.get_config()
    config.data.update(source="folder", root=str(tmp_path), val_split="val")
    said = r"^data.val_split \(None: there is none\): unknown split 'val' \(there are train\)"
    with pytest.raises(DataError, match=said):
        run_stages(config, str(tmp_path.with_name("run")))
