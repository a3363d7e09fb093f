"""The photos of a source with what others bring for them, checked one by one before the work."""

from collections import Counter

import numpy as np

from wsgcn_jax.data import Source
from wsgcn_jax.data.photos import check_photo, decode_photo
from wsgcn_jax.pipeline.external.cam_files import read_cams
from wsgcn_jax.pipeline.external.external_maps import ExternalMaps, read_boundary, read_seeds
from wsgcn_jax.pipeline.external.map_files import Facts
from wsgcn_jax.pipeline.external.regions import read_regions
from wsgcn_jax.pipeline.progress import log
from wsgcn_jax.types import DataError, Skipped


class Photos:
    """The photos of a source that can be used, read one by one as they are wanted.

    Attributes:
        names: of the photos.
        facts: what is known of each.
        skipped: the photos that cannot be used, and why.
    """

    def __init__(self, source: Source, given: ExternalMaps) -> None:
        """Looks at every photo and its maps once, so that a broken one spoils no batch.

        What the CAMs were taken for is said in a line.
        """
        names = source.listing()["train"]
        self._source = source
        self.names: list[str] = []
        self.facts: list[Facts] = []
        self.skipped: list[Skipped] = []
        forms: Counter[str] = Counter()
        for name in names:
            try:
                facts = self._check(name, given, forms)
            except DataError as error:
                self.skipped.append(Skipped(name, str(error)))
                continue
            self.names.append(name)
            self.facts.append(facts)
        for form, count in forms.most_common():
            log(f"CAMs of {count} photos: {form}")

    def image(self, index: int) -> np.ndarray:
        """Decodes a photo, `[h, w, 3] u8`."""
        photo = self._source.read("train", self.names[index])
        return decode_photo(photo.image, name=photo.files[0])

    def _check(self, name: str, given: ExternalMaps, forms: Counter[str]) -> Facts:
        photo = self._source.read("train", name)
        size = check_photo(photo.image, name=photo.files[0])
        facts = Facts(photo.labels, len(self._source.classes()), size)
        if not photo.labels:
            return facts  # all background: its maps are not read
        form = read_cams(given.cams, name, facts).form if given.cams else None
        if given.boundary:
            read_boundary(given.boundary, name, facts)
        if given.seeds:
            read_seeds(given.seeds, name, facts)
        if given.regions:
            read_regions(given.regions, name, size)
        if form:
            forms[form] += 1
        return facts
