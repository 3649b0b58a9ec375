"""Checkpoints of streams: whether one can be gone on with, and what becomes of one that cannot.

A checkpoint numbers micro-batches, and Delta leaves out a write whose number a table has already.
Where the newest numbers are lost, other rows would get them and would be left out without a word.
So such a checkpoint is set aside. A new one reads everything again under an id of its own, and each
stream knows by key, position or window what has been done.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)
_VERSION = "v1"


@dataclass(frozen=True)
class Numbered:
    """The newest file of a checkpoint's `offsets/` or `commits/`.

    Attributes:
        number: of its micro-batch; -1 where there is none.
        text: what it holds.
    """

    number: int = -1
    text: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it is as Spark writes it: a version, then lines of JSON or `-`."""
        version, *lines = self.text.splitlines() or [""]
        return self.number < 0 or (version == _VERSION and bool(lines) and all(map(_told, lines)))


@dataclass(frozen=True)
class Checkpoint:
    """What a stream's checkpoint holds.

    Attributes:
        query_id: of the stream; None where the file that names it is gone or damaged.
        offsets: newest micro-batch that was planned.
        commits: newest micro-batch that was done.
    """

    query_id: str | None
    offsets: Numbered
    commits: Numbered


def fault_of(checkpoint: Checkpoint, reached: int) -> str | None:
    """Why a checkpoint cannot be gone on with, in words; None if it can.

    Args:
        checkpoint: of a stream.
        reached: newest micro-batch of it that a table has; -1 where none has any.
    """
    offsets, commits = checkpoint.offsets, checkpoint.commits
    if checkpoint.query_id is None and max(offsets.number, commits.number) >= 0:
        return "the file that names its stream is gone or damaged"
    for kind, newest in (("offsets", offsets), ("commits", commits)):
        if not newest.is_whole:
            return f"{kind}/{newest.number} is empty or damaged"
    furthest, where = max((commits.number, "commits/"), (reached, "a table"))
    if furthest > offsets.number:
        return f"offsets/{furthest} is gone, though {where} has that micro-batch"
    return None


def read_checkpoint(folder: Path) -> Checkpoint:
    """What the checkpoint in a folder holds; nothing where there is none yet."""
    return Checkpoint(
        _query_id(folder / "metadata"), _newest(folder / "offsets"), _newest(folder / "commits")
    )


def ready(place: str, name: str, reached: Callable[[str], int]) -> None:
    """Set a checkpoint aside that cannot be gone on with, and say so; its stream begins anew.

    Args:
        place: of the checkpoint. In an object store it is trusted: files there are whole or not
            there at all.
        name: of the stream.
        reached: the newest micro-batch of a stream's id that a table has, -1 for none.
    """
    if "://" in place:
        return
    folder = Path(place)
    checkpoint = read_checkpoint(folder)
    query_id = checkpoint.query_id
    fault = fault_of(checkpoint, -1 if query_id is None else reached(query_id))
    if fault is not None:
        aside = set_aside(folder)
        _LOG.warning(
            "the checkpoint of the stream %s cannot be gone on with: %s; it lies in %s now, and "
            "the stream reads all again: nothing is lost, and nothing is done twice",
            *(name, fault, aside),
        )


def set_aside(folder: Path) -> Path:
    """Give a checkpoint another name, so that its stream begins anew; return that name."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    return folder.rename(aside)


def _query_id(metadata: Path) -> str | None:
    try:
        query_id = json.loads(metadata.read_text())["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return query_id if isinstance(query_id, str) else None


def _newest(folder: Path) -> Numbered:
    names = folder.iterdir() if folder.is_dir() else ()
    number = max((int(path.name) for path in names if path.name.isdigit()), default=-1)
    if number < 0:
        return Numbered()
    return Numbered(number, (folder / str(number)).read_text(errors="replace"))


def _told(line: str) -> bool:
    if line == "-":  # a source that had nothing yet
        return True
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
