"""Words of the configuration that name nothing are refused before anything is compiled."""

import pytest

from configs import test as tiny
from wsgcn_jax.pipeline.label_photo import make_label_program
from wsgcn_jax.types import DataError


@pytest.mark.parametrize(("section", "key"), [("graph", "walk"), ("seeds", "rule")])
def test_an_unknown_word_is_refused(section, key):
    config = tiny.get_config().unlock()
    config[section][key] = "wlak"
    with pytest.raises(DataError, match=f"{section}.{key}: 'wlak' is neither"):
        make_label_program(config)
