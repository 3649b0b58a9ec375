"""Silver and gold made again from bronze and the registry, in a new folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

from lakehouse.counterfactual.comparison import compare_with_alternatives
from lakehouse.errors import RecoveryError
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.recovery.comparison import Compared, compare
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
from lakehouse.recovery.lines import take_in_again
from lakehouse.recovery.predictions import score_again
from lakehouse.recovery.records import put_back
from lakehouse.storage.commits import record_commits
from lakehouse.storage.kept_rows import keep_rows
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW

_INGEST = Path("_system/checkpoints/ingest")
_MODEL = Path("_system/model")


def copy_what_is_left(root: str, into: str) -> str:
    """Copy bronze, the registry and ingest's checkpoint to a new folder; return its root.

    The lost lakehouse is not changed. The streams after ingest begin anew.

    Raises:
        RecoveryError: the folder is not empty, or bronze cannot be read.
    """
    target, source = checked_target(root, into), Path(root)
    tables = tables_of(source, ("bronze",))
    if not tables:
        raise RecoveryError(f"{root}: there is no bronze; nothing can be made again")
    versions = {table: version_of(source / table) for table in tables}
    try:
        for table, version in versions.items():
            copy_table(source / table, target / table, version)
        copy_database(source / DATABASE, target / DATABASE)
        copy_folder(source / ARTIFACTS, target / ARTIFACTS)
        if (source / _INGEST).is_dir():
            copy_checkpoint(source / _INGEST, target / _INGEST)
        copy_file(source / _MODEL, target / _MODEL)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return str(target)


def rebuild(
    lakehouse: Lakehouse, lost: str, tell: Callable[[str], None] = lambda words: None
) -> list[Compared]:
    """Make silver and gold from what was copied, and compare them with those of the lost one.

    Args:
        lakehouse: opened on the copy of bronze and the registry.
        lost: root of the lakehouse that was copied from.
        tell: called with a sentence for each step.

    Returns:
        Each table against the one that was there.

    Raises:
        RecoveryError: bronze, or what is on record, does not tell enough.
    """
    for words in put_back(lakehouse, lost):
        tell(words)
    tell("records are put back")
    take_in_again(lakehouse)
    tell("lines are taken in")
    score_again(lakehouse)
    tell("readings are scored")
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    compare_with_alternatives(lakehouse)
    record_commits(lakehouse)
    keep_rows(lakehouse)
    tell("metrics are computed")
    return compare(lakehouse, lost)
