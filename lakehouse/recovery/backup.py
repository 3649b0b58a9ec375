"""A copy of a lakehouse that jobs are writing to: all of it as of one moment."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from lakehouse.recovery.copies import (
    ARTIFACTS,
    DATABASE,
    checked_target,
    copy_checkpoint,
    copy_database,
    copy_file,
    copy_folder,
    copy_table,
    tables_of,
    version_of,
)
from lakehouse.storage.delta.locks import held_still

PATIENCE = 600.0
"""Seconds that a write may take before a copy gives up."""
_CHECKPOINTS = Path("_system/checkpoints")


@dataclass(frozen=True)
class Copied:
    """What a copy holds.

    Attributes:
        into: where it is.
        versions: the Delta version of each table, by its folder under the root.
    """

    into: Path
    versions: dict[Path, int]


def back_up(root: str, into: str, patience: float = PATIENCE) -> Copied:
    """Copy a lakehouse, as of one moment between two writes, to a new folder.

    Writes wait for that moment alone, in which versions are noted, and what is not versioned is
    copied: checkpoints and MLflow's database. The files of tables and of models never change, and
    are copied at leisure. So the copy is what the lakehouse would be had its jobs been killed then.

    Args:
        root: of the lakehouse, a folder of this machine.
        into: a folder that is not there yet, or empty.
        patience: seconds to wait for a write that is being done.

    Raises:
        RecoveryError: the folder is not empty, or files were removed while they were copied.
        LockedError: writes leave no moment.
    """
    target, source = checked_target(root, into), Path(root)
    # A copy that is cut off has another name, so that nobody takes it for a whole one.
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with held_still(root, patience):
        versions = {table: version_of(source / table) for table in tables_of(source)}
        for checkpoint in sorted(source.glob(f"{_CHECKPOINTS}/*")):
            copy_checkpoint(checkpoint, partial / _CHECKPOINTS / checkpoint.name)
        copy_database(source / DATABASE, partial / DATABASE)
    for table, version in versions.items():
        copy_table(source / table, partial / table, version)
    copy_folder(source / ARTIFACTS, partial / ARTIFACTS)
    copy_folder(source / "landing", partial / "landing")
    copy_file(source / "_system" / "model", partial / "_system" / "model")
    if target.exists():
        target.rmdir()
    partial.rename(target)
    return Copied(target, versions)
