"""docs/licences.md is as the installed packages tell, and none has a licence that we may not use."""

import pytest

from tools.licences import PAGE, is_allowed, licence_of, locked, made


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == made(), "run `python -m tools.licences`"


def test_each_dependency_has_a_licence_that_allows_its_use() -> None:
    licences = {name: licence_of(name) for name in locked()}
    assert len(licences) > 100
    assert {name: one for name, one in licences.items() if not is_allowed(one)} == {}


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT OR GPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("MIT AND GPL-3.0-only", False),
        ("GNU Lesser General Public License", False),
        ("AGPL-3.0", False),
        ("", False),
    ],
)
def test_a_licence_counts_by_its_parts(licence: str, allowed: bool) -> None:
    assert is_allowed(licence) == allowed
