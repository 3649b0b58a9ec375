"""Copies of a lakehouse's parts on this machine, each as it was at one moment."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.errors import RecoveryError

LAYERS = ("bronze", "silver", "gold")
_LOG = "_delta_log"
_VERSIONED = re.compile(r"(\d{20})\.")
DATABASE = Path("mlflow/mlflow.db")
ARTIFACTS = Path("mlflow/artifacts")


def checked_target(root: str, into: str) -> Path:
    """The absolute folder that a copy goes to.

    Raises:
        RecoveryError: it holds something, lies in the lakehouse, or is not of this machine.
    """
    if "://" in root or "://" in into:
        raise RecoveryError(
            f"{root}: only a lakehouse on a disk is copied; on an object store copy the prefix "
            "while no job runs"
        )
    target = Path(into).expanduser().resolve()
    if target.is_relative_to(root) or Path(root).is_relative_to(target):
        raise RecoveryError(f"--into: {target} and {root} lie in one another; name another folder")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RecoveryError(f"--into: {target} is not empty; name a new folder")
    return target


def tables_of(root: Path, layers: Iterable[str] = LAYERS) -> list[Path]:
    """The Delta tables of a lakehouse, by their folders under its root."""
    return sorted(
        log.parent.relative_to(root) for layer in layers for log in root.glob(f"{layer}/*/{_LOG}")
    )


def version_of(table: Path) -> int:
    """The newest version of a table.

    Raises:
        RecoveryError: it cannot be opened.
    """
    try:
        return DeltaTable(str(table)).version()
    except (DeltaError, OSError) as error:
        raise RecoveryError(f"{table} cannot be opened: {_first_line(error)}") from error


def copy_table(source: Path, target: Path, version: int) -> None:
    """Copy a table as it was at a version, and its history; newer commits are left out.

    Raises:
        RecoveryError: a file of that version was removed meanwhile.
    """
    (target / _LOG).mkdir(parents=True)
    for entry in sorted((source / _LOG).iterdir()):
        found = _VERSIONED.match(entry.name)
        if found and int(found[1]) <= version:
            copy_file(entry, target / _LOG / entry.name)
    # The log first: files that it names are older than it. What no commit names does no harm.
    for folder, inner, names in os.walk(source):
        inner[:] = [name for name in inner if name != _LOG]
        for name in names:
            if not name.startswith("."):
                path = Path(folder) / name
                copy_file(path, target / path.relative_to(source))
    _check(target, version)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that is never changed; one that is gone by now is left out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder of files that are never changed; without it, nothing."""
    for folder, _, names in os.walk(source):
        for name in names:
            path = Path(folder) / name
            copy_file(path, target / path.relative_to(source))


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a stream's checkpoint: up to the batch after the last one that was finished.

    What is finished is listed first: a batch that begins meanwhile is planned anew from the copy,
    and none counts as finished whose plan is not there.
    """
    finished = _numbers(source / "commits")
    last = max(finished, default=-1)
    planned = [number for number in _numbers(source / "offsets") if number <= last + 1]
    for folder, numbers in (("commits", finished), ("offsets", planned)):
        (target / folder).mkdir(parents=True)
        for number in numbers:
            copy_file(source / folder / str(number), target / folder / str(number))
    for entry in source.iterdir():
        if entry.is_file() and not entry.name.startswith("."):
            copy_file(entry, target / entry.name)
        elif entry.is_dir() and entry.name not in ("commits", "offsets"):
            copy_folder(entry, target / entry.name)


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite file as of one moment, whoever writes it; without it, nothing."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def _check(table: Path, version: int) -> None:
    """Check that the copy is whole."""
    try:
        copied = DeltaTable(str(table))
        missing = [uri for uri in copied.file_uris() if not Path(uri).is_file()]
    except (DeltaError, OSError) as error:
        raise RecoveryError(f"{table} cannot be opened: {_first_line(error)}") from error
    if missing or copied.version() != version:
        raise RecoveryError(
            f"{table}: files of version {version} were removed while they were copied; copy again"
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
