"""Brings the KPI and drift tables up to date with new predictions and labels, or computes a span of
days anew.
"""

import datetime as dt
from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.monitoring.aggregator import aggregate_kpis, backfill


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__)
    day = dt.date.fromisoformat
    parser.add_argument(
        "--from", dest="first", type=day, help="first day to compute anew, such as 2019-07-01"
    )
    parser.add_argument(
        "--to", dest="last", type=day, help="last day to compute anew, itself included"
    )
    options = parser.parse_args(words)
    if (options.first is None) != (options.last is None):
        parser.error("--from and --to go together")
    if options.first is None:
        aggregate_kpis(opened(options), options.trigger)
    elif options.first > options.last:
        parser.error("--from is after --to; exchange them")
    else:
        backfill(opened(options), options.first, options.last)


if __name__ == "__main__":
    run_job(main)
