"""Lands the simulated glassware stream as files, at once or a day at a time. Needs no Spark session."""

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.glassware.landing import land_until, next_midnight
from lakehouse.glassware.scenarios import SCENARIOS
from lakehouse.glassware.stream import Stream, in_utc

SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    courses = "scenarios:\n" + "\n".join(f"  {name:14}{scenario.summary}" for name, scenario in SCENARIOS.items())
    parser = argparse.ArgumentParser(None, None, __doc__, courses, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--landing", type=Path, required=True, help="the folder to land in; made if it is not there")
    parser.add_argument("--until", type=datetime.fromisoformat, help="simulated ISO moment, UTC (default: everything)")
    parser.add_argument("--scenario", default=Stream.scenario, help="what changes, see below (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=Stream.seed, help="which possible run (default: %(default)s)")
    parser.add_argument("--pieces", type=int, default=Stream.pieces, help="how many in all (default: %(default)s)")
    parser.add_argument("--period", type=float, default=Stream.period, help="seconds per piece (default: %(default)s)")
    parser.add_argument("--trigger", default="available-now", help="or the pause after a simulated day: '10 seconds'")
    return parser.parse_args(words)


def seconds_between_days(trigger: str) -> float | None:
    """The pause after each simulated day; None to land all at once."""
    if trigger == "available-now":
        return None
    number, _, unit = trigger.partition(" ")
    if not number.isdecimal() or unit.removesuffix("s") not in SECONDS:
        raise ConfigurationError(f"trigger: {trigger!r} is impossible; write available-now, or such as '10 seconds'")
    return int(number) * SECONDS[unit.removesuffix("s")]


def simulate(arguments: argparse.Namespace) -> None:
    """Lands what the arguments ask for, and says so, a line per landing."""
    stream = Stream(arguments.scenario, arguments.seed, arguments.pieces, arguments.period)
    until = in_utc(arguments.until) if arguments.until else stream.end
    pause = seconds_between_days(arguments.trigger)
    while (midnight := next_midnight(stream, arguments.landing)) is not None:
        moment = until if pause is None else min(midnight, until)
        files = land_until(stream, arguments.landing, moment)
        print(f"{moment:%Y-%m-%d %H:%M} landed {sum(f.lines for f in files)} lines in {len(files)} files", flush=True)
        if moment == until:
            break
        time.sleep(pause or 0)


if __name__ == "__main__":
    try:
        simulate(parse_arguments())
    except LakehouseError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
