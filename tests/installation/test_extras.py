"""What is said where an extra is not installed."""

import sys

import pytest

from lakehouse.errors import ConfigurationError
from lakehouse.simulation.families import FAMILIES


def test_a_family_of_river_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river.datasets", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'glassware-lakehouse\[streams\]'"):
        FAMILIES["sea"](0, 0, 10)
