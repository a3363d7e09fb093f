"""What the configuration cannot mean is refused before anything is compiled."""

import pytest

from configs import test as tiny
from wsgcn_jax.pipeline.label_program import make_label_program
from wsgcn_jax.types import DataError


@pytest.mark.parametrize(("section", "key"), [("graph", "walk"), ("seeds", "rule")])
def test_an_unknown_word_is_refused(section, key):
    config = tiny.get_config().unlock()
    config[section][key] = "wlak"
    with pytest.raises(DataError, match=f"{section}.{key}: 'wlak' is neither"):
        make_label_program(config)


@pytest.mark.parametrize("odds", [0.0, -1.0, float("nan")])
def test_odds_that_leave_no_object_or_no_number_are_refused(odds):
    config = tiny.get_config().unlock()
    config.gcn.foreground_odds = odds
    with pytest.raises(DataError, match=r"gcn\.foreground_odds: .* must be above 0"):
        make_label_program(config)
