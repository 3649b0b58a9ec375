"""Shows what the data of a lakehouse is like, as one HTML file: rows, columns, labels, and what
tells them apart; of all days or of some, and of two spans side by side.
"""

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.errors import ConfigurationError
from lakehouse.explore.build import page_path, write_page
from lakehouse.explore.subject import Span, subject_of


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = job_parser(__doc__ or "", triggered=False)
    add = parser.add_argument
    add("--from", dest="first", metavar="DATE", help="first day of the events, such as 2019-07-01")
    add("--to", dest="last", metavar="DATE", help="last day of the events")
    add("--compare-from", metavar="DATE", help="first day of a span to compare with")
    add("--compare-to", metavar="DATE", help="last day of that span")
    add("--by", metavar="COLUMN", help="column to look at the others by (default: the label)")
    add("--output", type=Path, help="the file (default: report/explore.html of the root)")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line; it needs no Spark."""
    options = parse(words)
    spans = [Span(_day("--from", options.first), _day("--to", options.last))]
    if options.compare_from or options.compare_to:
        ends = ("--compare-from", options.compare_from), ("--compare-to", options.compare_to)
        spans.append(Span(*(_day(*end) for end in ends)))
    model, root = located(options)
    path = options.output or page_path(Path(root))
    changed = write_page(root, subject_of(model, options.by), spans, path)
    print(f"{path}{'' if changed else ' (unchanged)'}")


def _day(option: str, text: str | None) -> dt.date | None:
    """The day that an option names."""
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f"{option} {text}: write a day such as 2019-07-01") from None


if __name__ == "__main__":
    run_job(main)
