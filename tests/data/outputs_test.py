"""Folders to write into: never where something is read."""

import pytest

from wsgcn_jax.data.outputs import check_foreign, check_output, check_work_folder
from wsgcn_jax.types import DataError


@pytest.mark.fault(
    "an output folder that is read, through a link too",
    "one line; nothing is overwritten",
    section="Work folders and interruptions",
)
def test_an_input_is_no_output_whatever_leads_there(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "link").symlink_to(photos)
    check_output((tmp_path / "out", photos / "out"), {"the photos' folder": photos, "none": None})
    for out in (photos, tmp_path / "link", photos / "x" / "..", f"{photos}/"):
        with pytest.raises(DataError, match="is the photos' folder, whose files would be overwr"):
            check_output((tmp_path / "out", out), {"the photos' folder": photos})


@pytest.mark.fault(
    "an output folder inside a run",
    "one line",
    section="Work folders and interruptions",
)
def test_a_stages_folder_is_no_output(tmp_path):
    (tmp_path / "segmenter").mkdir()
    (tmp_path / "segmenter" / "stage.json").touch()
    check_output((tmp_path / "masks",), {})
    for out in ("segmenter", "segmenter/val"):
        with pytest.raises(DataError, match="belongs to a run"):
            check_output((tmp_path / out,), {})


@pytest.mark.fault(
    "an output folder with masks of somebody else",
    "one line: they would pass for results",
    section="Work folders and interruptions",
)
def test_foreign_masks_do_not_pass_for_results(tmp_path):
    check_foreign(tmp_path / "none", "made.json")
    check_foreign(tmp_path, "made.json")
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"holds a\.png, which this command did not make"):
        check_foreign(tmp_path, "made.json")
    (tmp_path / "made.json").touch()
    check_foreign(tmp_path, "made.json")


@pytest.mark.fault(
    "`--workdir` that is the photos' or masks' folder, lies among sub-folders that are "
    "labels, or owns the masks",
    "one line; nothing is made",
    section="Work folders and interruptions",
)
@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("photos", "photos is the photos' folder; name another"),
        ("link", "link is the photos' folder; name another"),
        ("truth", "truth is the true masks' folder; name another"),
        ("photos/run", "lies in .*photos, of which everything is read"),
        ("link/run", "lies in .*photos, of which everything is read"),
        ("run", "the true masks' folder, is what a run in .*run writes"),
    ],
)
def test_a_run_keeps_away_from_what_it_reads(tmp_path, root, said):
    photos, truth = tmp_path / "photos", tmp_path / "truth"
    photos.mkdir()
    (tmp_path / "link").symlink_to(photos)
    masks = tmp_path / "run/pseudo_labels" if root == "run" else truth
    inputs = {"the photos' folder": photos, "the true masks' folder": masks}
    with pytest.raises(DataError, match=f"^workdir: .*{said}"):
        check_work_folder(tmp_path / root, ["data", "pseudo_labels"], inputs, [photos])


def test_a_work_folder_may_lie_beside_listed_photos_and_hold_them(tmp_path):
    for photos in ("photos", "run/input", "."):
        inputs = {"the photos' folder": tmp_path / photos, "the true masks' folder": None}
        check_work_folder(tmp_path / "run", ["data"], inputs)
