"""Writes the page: asks the lakehouses, draws, and puts the file in place at once."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lakehouse.dashboard.answers import answers_of, table_names
from lakehouse.dashboard.page import page
from lakehouse.dashboard.rows import ModelAnswers
from lakehouse.storage.folders import write_changed
from lakehouse.storage.snapshot import Snapshot

_logger = logging.getLogger(__name__)


def page_path(root: Path) -> Path:
    """Where the page of a lakehouse is written."""
    return root / "report" / "dashboard.html"


def draw_page(roots: Sequence[Path]) -> bytes:
    """The page of these lakehouses: the same bytes, as long as no table has moved.

    Raises:
        ConfigurationError: one of the roots holds no lakehouse.
    """
    return page(named([(root, answers_of(root)) for root in roots])).encode()


def write_page(roots: Sequence[Path], path: Path) -> bool:
    """Write the page of these lakehouses; return whether the file changed.

    Raises:
        ConfigurationError: one of the roots holds no lakehouse.
    """
    return write_changed(path, draw_page(roots))


def renew_page(root: str) -> None:
    """Write the page of a lakehouse after a run of its pipeline.

    The run has done its work by then: a page that cannot be drawn is a warning, and the one before
    stays. A lakehouse in an object store has none.
    """
    if "://" in root:
        return
    try:
        write_page([Path(root)], page_path(Path(root)))
    except Exception:
        _logger.warning("the dashboard could not be renewed; the one before stays", exc_info=True)


def named(answers: Sequence[tuple[Path, ModelAnswers]]) -> list[tuple[str, ModelAnswers]]:
    """Each model with a name of its own: two of one name have their roots in it, too."""
    times = Counter(model.name for _, model in answers)
    return [
        (model.name if times[model.name] == 1 else f"{model.name} ({root})", model)
        for root, model in answers
    ]


def versions_of(roots: Sequence[Path]) -> dict[tuple[str, str], int]:
    """The newest Delta version of each table of each lakehouse: it tells whether to draw anew.

    Raises:
        ConfigurationError: one of the roots holds no lakehouse.
    """
    versions = {}
    for root in roots:
        snapshot = Snapshot(str(root.resolve()))
        for name in table_names(root):
            if snapshot.has(name):
                versions[str(root), name] = snapshot.version(name)
    return versions
