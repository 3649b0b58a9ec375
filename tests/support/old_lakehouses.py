"""Lakehouses that earlier releases wrote, and the nights that come after their last.

Each archive holds glassware, scenario `demo`, seed 0, the midnights of 5, 6 and 7 July 2019
(first_after 300), without its landing folder and the checkpoints of it, which hold absolute paths.
Commit 527bb77 wrote `lakehouse-0.1.0.tar.xz`; 521cc3b wrote `lakehouse-0.2.0.tar.xz`, with one
decision tree (ccp_alpha .005) as its only family.
"""

import shutil
from pathlib import Path

from lakehouse.app.whole_way import run_pipeline
from lakehouse.glassware.gateway import land_until
from lakehouse.glassware.pieces import Stream
from lakehouse.storage.lakehouse import Lakehouse
from tests.support.rows import moment


def unpack(release: str, folder: Path) -> Path:
    """Return the root of the lakehouse of `release`, elsewhere than where it was written."""
    shutil.unpack_archive(f"tests/data/lakehouse-{release}.tar.xz", folder)
    return folder / f"lakehouse-of-{release}"


def take_in_until(lakehouse: Lakehouse, midnight: str) -> None:
    """Land the files from 7 July, which the archive lacks, to the midnight, and run the pipeline."""
    stream, aside = Stream("demo", seed=0), Path(lakehouse.store.root) / "aside"
    land_until(stream, aside, moment("2019-07-07T00:00:00"))
    known = set(aside.glob("*/*.jsonl"))  # the archive holds their lines
    land_until(stream, aside, moment(f"{midnight}T00:00:00"))
    for path in set(aside.glob("*/*.jsonl")) - known:
        target = Path(lakehouse.landing) / path.relative_to(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    run_pipeline(lakehouse)
