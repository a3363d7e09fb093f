"""Where the real photos lie; they are not part of the repository, and tests skip without them."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2] / "shared" / "voc-animals" / "VOC2012"
VOC = Path(os.environ.get("VOC_ANIMALS", _BESIDE))
needs_photos = pytest.mark.skipif(not VOC.exists(), reason="needs the photos; set VOC_ANIMALS")
