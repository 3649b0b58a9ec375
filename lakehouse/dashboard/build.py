"""Writes the page: asks the lakehouses, draws, and puts the file in place at once."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lakehouse.dashboard.answers import ModelAnswers, answers_of, table_names
from lakehouse.dashboard.page import page
from lakehouse.storage.snapshot import Snapshot


def page_path(root: Path) -> Path:
    """Where the page of a lakehouse is written."""
    return root / "report" / "dashboard.html"


def write_page(roots: Sequence[Path], path: Path) -> bool:
    """Write the page of these lakehouses; return whether the file changed.

    Raises:
        ConfigurationError: one of the roots holds no lakehouse.
    """
    text = page(named([(root, answers_of(root)) for root in roots])).encode()
    if path.exists() and path.read_bytes() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(text)
    new.replace(path)
    return True


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
