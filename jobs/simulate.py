"""Lands the simulated glassware stream as files, at once or a day at a time; without Spark."""

import argparse
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lakehouse.app.command_line import run_job
from lakehouse.glassware.furnace import SUMMARIES, stream_of
from lakehouse.glassware.gateway import land_until, next_midnight
from lakehouse.glassware.pieces import Stream, in_utc
from lakehouse.storage.queries import AVAILABLE_NOW, interval_seconds


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    courses = "scenarios:\n" + "\n".join(
        f"  {name:14}{summary}" for name, summary in SUMMARIES.items()
    )
    parser = argparse.ArgumentParser(
        None, None, __doc__, courses, formatter_class=argparse.RawTextHelpFormatter
    )
    add, default = parser.add_argument, "(default: %(default)s)"
    add("--landing", type=Path, required=True, help="the folder to land in; made where it is not")
    add("--until", type=datetime.fromisoformat, help="simulated ISO moment, UTC (default: the end)")
    add("--scenario", default=Stream.scenario, help=f"what changes, see below {default}")
    add("--seed", type=int, default=Stream.seed, help=f"which possible run {default}")
    add("--pieces", type=int, default=Stream.pieces, help=f"how many in all {default}")
    add("--period", type=float, default=Stream.period, help=f"seconds per piece {default}")
    add("--trigger", default=AVAILABLE_NOW, help="or a pause after a simulated day: '10 seconds'")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Land what the command line asks for, and say so, a line per landing."""
    arguments = parse_arguments(words)
    stream = stream_of(arguments.scenario, arguments.seed, arguments.pieces, arguments.period)
    until = in_utc(arguments.until) if arguments.until else stream.end
    pause = interval_seconds(arguments.trigger)
    while (midnight := next_midnight(stream, arguments.landing)) is not None:
        moment = until if pause is None else min(midnight, until)
        files = land_until(stream, arguments.landing, moment)
        lines = sum(file.lines for file in files)
        print(f"{moment:%Y-%m-%d %H:%M} landed {lines} lines in {len(files)} files", flush=True)
        if moment == until:
            break
        time.sleep(pause or 0)


if __name__ == "__main__":
    run_job(main)
