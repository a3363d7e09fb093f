"""Lists of photos and what they show, in any of the forms that people keep them in.

`read_list` recognises the form; docs/your-photos.md has an example of each. Nothing in a list is
executed: pickles are read as data, XML with a DTD is refused.
"""

from pathlib import Path
from typing import NamedTuple

from wsgcn_jax.data.lists.class_ids import Labelled, name_classes
from wsgcn_jax.data.lists.coco import Coco, is_coco, read_coco
from wsgcn_jax.data.lists.finder import Finder
from wsgcn_jax.data.lists.folders import read_folders
from wsgcn_jax.data.lists.irnet import list_of_cls_labels
from wsgcn_jax.data.lists.json_lists import list_of_json, read_json, read_json_lines
from wsgcn_jax.data.lists.rows import Listed, Row
from wsgcn_jax.data.lists.tables import read_table, read_voc_lists

__all__ = ["Coco", "Labelled", "PhotoList", "Row", "is_coco", "read_coco", "read_list"]

_JSON_LINES = (".jsonl", ".ndjson")
_RENAMED = 3  # names in a note


class PhotoList(NamedTuple):
    """A list, its files found and its labels named.

    Attributes:
        path: the file or folder that it was read from.
        labelled: classes and rows; files are relative to the photo folder, with `/`.
        coco: what draws the masks, where the list is COCO's, by the file's spelling there.
        spelt: how the list spells each file.
    """

    path: Path
    labelled: Labelled
    coco: Coco | None
    spelt: dict[str, str]


def read_list(
    path: Path,
    root: Path,
    *,
    classes: tuple[str, ...] | None = None,
    leave_out: tuple[Path, ...] = (),
) -> PhotoList:
    """Reads a list in whatever form it is.

    Args:
        path: a file, or a folder: of VOC's per-class lists, or of one folder a class.
        root: the folder of the photos.
        classes: the class names there are, "background" first; None: those of the list.
        leave_out: folders that hold no photos, where folders are the labels.

    Returns:
        The list.

    Raises:
        DataError: unreadable, malformed, empty, or a name that leaves the folder.
        UnknownNameError: a label that is no class.
    """
    find = Finder(root)
    listed, coco = _recognised(path, root, find, classes, leave_out)
    rows, spelt = [], {}
    for row in listed.rows:
        file = find(row.file, where=f"{path}, line {row.line}")
        spelt[file] = row.file
        mask = row.mask and find(row.mask, where=f"{path}, line {row.line}")
        rows.append(row._replace(file=file, mask=mask))
    labelled = name_classes(listed._replace(rows=tuple(rows)), classes, where=str(path))
    if find.renamed:
        some = ", ".join(f"{a} is {b}" for a, b in list(find.renamed.items())[:_RENAMED])
        note = f"{path.name}: names found in another spelling: {len(find.renamed)} ({some})"
        labelled = labelled._replace(notes=(*labelled.notes, note))
    return PhotoList(path, labelled, coco, spelt)


def _recognised(
    path: Path,
    root: Path,
    find: Finder,
    classes: tuple[str, ...] | None,
    leave_out: tuple[Path, ...],
) -> tuple[Listed, Coco | None]:
    if path.is_dir():
        if path.resolve() == root.resolve():
            return read_folders(root, leave_out=leave_out), None
        return read_voc_lists(path, find.exists), None
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return list_of_cls_labels(path, classes and classes[1:]), None
    if suffix in _JSON_LINES:
        return read_json_lines(path), None
    if suffix == ".json":
        content = read_json(path)
        if not is_coco(content):
            return list_of_json(content, path), None
        coco = read_coco(path, content)
        return coco.listed(), coco
    return read_table(path, find.exists), None
