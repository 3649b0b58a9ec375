"""Compares production with the first model left alone, and with one that is trained each midnight;
day by day.
"""

import datetime as dt
from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.calendar import days_between
from lakehouse.counterfactual.comparison import compare_with_alternatives


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__, triggered=False)
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
    if options.first is not None and options.first > options.last:
        parser.error("--from is after --to; exchange them")
    days = () if options.first is None else days_between(options.first, options.last)
    compare_with_alternatives(opened(options), days)


if __name__ == "__main__":
    run_job(main)
