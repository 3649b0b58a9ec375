"""Drives simulated midnights through the pipeline, and shows each as it passes."""

import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc
from tqdm import tqdm

from lakehouse.app.whole_way import run_pipeline
from lakehouse.calendar import DAY
from lakehouse.glassware.gateway import land_until, next_midnight, simulation_in
from lakehouse.glassware.pieces import START, Stream
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.versions.ledger import PromotionLedger


def begin_anew_where_other(stream: Stream, root: Path) -> None:
    """Remove the demo's folder if it holds another simulation; the same one goes on."""
    if simulation_in(root / "landing") in (None, stream):
        return
    print(f"{root} holds another simulation; it is removed, and this one begins anew")
    # Moved aside in one step: half a lakehouse would be worse.
    aside = root.rename(root.with_name(f".{root.name}.removed"))
    shutil.rmtree(aside)


def run_nights(lakehouse: Lakehouse, stream: Stream, days: int | None) -> None:
    """Land and process each past midnight, first what a run that was cut off had landed."""
    landing = Path(lakehouse.landing)
    last = START + days * DAY if days else midnight_after(stream)
    n_nights = (last - START) // DAY
    started = next_midnight(stream, landing)
    past = n_nights if started is None else min((started - START) // DAY - 1, n_nights)
    form = "{l_bar}{bar:20}| {n_fmt}/{total_fmt} nights, {elapsed}"
    with tqdm(total=n_nights, initial=past, file=sys.stdout, bar_format=form) as bar:
        if past:
            run_pipeline(lakehouse, draws_page=False)
        for midnight in _midnights(stream, landing, last):
            land_until(stream, landing, midnight)
            run_pipeline(lakehouse, draws_page=False)
            bar.update((midnight - START) // DAY - bar.n)
            bar.set_description_str(_line(lakehouse, midnight))
            for event in _events(lakehouse, midnight):
                bar.write(event, file=sys.stdout)


def midnight_after(stream: Stream) -> datetime:
    """The midnight at which the last label has landed."""
    return stream.label_time(stream.pieces)


def _midnights(stream: Stream, landing: Path, last: datetime) -> Iterator[datetime]:
    while (midnight := next_midnight(stream, landing)) is not None and midnight <= last:
        yield midnight


def _line(lakehouse: Lakehouse, midnight: datetime) -> str:
    whole = pc.field("slice_key").is_null()
    columns = {name: pc.field("quality", name) for name in ("n_labelled", "n_right")}
    counts = lakehouse.store.arrow(lakehouse.catalog.window_facts, whole, columns)
    labelled, right = (pc.sum(counts[name]).as_py() or 0 for name in columns)
    accuracy = f"accuracy so far {right / labelled:.3f}" if labelled else "no label yet"
    version = PromotionLedger(lakehouse).champion
    champion = f"champion v{version}" if version else "no champion yet"
    return f"{midnight:%Y-%m-%d} | {accuracy} | {champion}"


def _events(lakehouse: Lakehouse, midnight: datetime) -> Iterator[str]:
    rows = lakehouse.store.rows(lakehouse.catalog.promotion, pc.field("as_of") == midnight)
    for row in sorted(rows, key=lambda row: row["recorded_at"]):
        yield f"{midnight:%Y-%m-%d} {row['action']} v{row['to_version']}: {row['reason']}"
