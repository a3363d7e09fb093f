"""Stage: photos, labels and masks as records (`data.prepare`)."""

from collections.abc import Sequence

from etils.epath import Path

from wsgcn_jax import data
from wsgcn_jax.data.summary import describe, shortcoming
from wsgcn_jax.distributed import is_primary, wait_for_all
from wsgcn_jax.folders import in_bucket
from wsgcn_jax.pipeline.context import Context
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.types import Skipped


def run(context: Context, folder: Path) -> Sequence[Skipped]:
    """Stores the photos of all splits as records, and says what they are."""
    if is_primary() and not in_bucket(folder):
        data.prepare(context.source, folder)
    wait_for_all("prepared")
    _describe(context)
    names = {name for name in context.splits if name}
    return sorted({skip for name in names for skip in context.split(name).skipped})


def _describe(context: Context) -> None:
    """Says what was read, and what is odd about it."""
    for note in context.source.notes():
        log(note)
    for name in dict.fromkeys(name for name in context.splits if name):
        split = context.split(name)
        log(f"{name}: {describe(split.labels, split.classes, len(split.skipped))}")
    train = context.split(context.config.data.train_split)
    lacks = shortcoming(train.labels, train.classes)
    if lacks and context.config.classifier.get("head") != "imagenet":
        log(lacks)
