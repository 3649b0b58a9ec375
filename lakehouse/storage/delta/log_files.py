"""The files of a table's log: which versions there are, and from where each can be read."""

import datetime as dt
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from lakehouse.storage.folders import FileOnDisk, Folder

_VERSIONED = re.compile(r"\.?(\d{20})\..*")
_COMMIT = re.compile(r"\d{20}\.json")
_CHECKPOINT = re.compile(r"\d{20}\.checkpoint\.parquet")


@dataclass(frozen=True)
class Log:
    """The files of a table's `_delta_log` that are of a version."""

    files: tuple[FileOnDisk, ...]

    @classmethod
    def of(cls, path: str) -> "Log":
        """The log of the table at a path."""
        files = Folder(path).within("_delta_log").files()
        return cls(tuple(file for file in files if _VERSIONED.fullmatch(file.name)))

    @cached_property
    def made_at(self) -> dict[int, dt.datetime]:
        """When each version was made that has a commit, oldest first, by its file."""
        return {
            int(file.name[:20]): file.modified_at
            for file in sorted(self.files, key=lambda file: file.name)
            if _COMMIT.fullmatch(file.name)
        }

    @cached_property
    def newest(self) -> int:
        """The newest version."""
        return max(self.made_at)

    @cached_property
    def _bases(self) -> list[int]:
        """Versions that can be read without an older commit: checkpoints, and the first one."""
        found = {int(file.name[:20]) for file in self.files if _CHECKPOINT.fullmatch(file.name)}
        return sorted(found | ({0} if 0 in self.made_at else set()))

    @cached_property
    def _since(self) -> dict[int, int]:
        """For each commit, the first of those that lead to it without a hole."""
        since: dict[int, int] = {}
        for version in self.made_at:
            since[version] = since.get(version - 1, version)
        return since

    @property
    def tail(self) -> int:
        """The first of the commits that lead to the newest version without a hole."""
        return self._since[self.newest]

    @property
    def is_whole(self) -> bool:
        """Whether the newest version can be read by its log: it cannot where a commit was lost."""
        return self.base(self.tail) is not None

    def base(self, version: int) -> int | None:
        """Where reading a version begins: the newest checkpoint that commits lead on from.

        Returns:
            None where it cannot be read.
        """
        place = bisect_right(self._bases, version)
        if not place or version not in self._since:
            return None
        base = self._bases[place - 1]
        # The commit of the checkpoint itself need not be there.
        return base if self._since[version] <= base + 1 or base == version else None


def version_of(file: FileOnDisk) -> int:
    """The version that a file of a log is of; hidden ones are checksums of others."""
    return int(file.name.lstrip(".")[:20])
