"""The examples in docstrings give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

WITH_EXAMPLES = [
    path
    for path in sorted(Path("lakehouse").rglob("*.py"))
    if " >>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_the_examples_of_a_module_give_what_they_show(path: Path):
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed
