"""Writes the page: asks the lakehouse, draws, and puts the file in place at once."""

from collections.abc import Sequence
from pathlib import Path

from lakehouse.errors import ConfigurationError
from lakehouse.explore.answers import findings_of
from lakehouse.explore.page import page
from lakehouse.explore.subject import Span, Subject
from lakehouse.storage.folders import write_changed


def page_path(root: Path) -> Path:
    """Where the page of a lakehouse is written."""
    return root / "report" / "explore.html"


def write_page(root: str, subject: Subject, spans: Sequence[Span], path: Path) -> bool:
    """Write the page of a lakehouse; return whether the file changed.

    Raises:
        ConfigurationError: the root holds no lakehouse, another model's, or is in an object store.
    """
    if "://" in root:
        raise ConfigurationError(f"--root: {root} is in an object store; copy it to a folder first")
    findings = findings_of(Path(root), subject, spans)
    return write_changed(path, page(findings).encode())
