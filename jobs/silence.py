"""Silences alerts for a time, ends a silence, or lists those in force; without Spark."""

import datetime as dt
import getpass
from collections.abc import Sequence

from lakehouse.alerts.notify import Notifier
from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.calendar import parse_span
from lakehouse.tables import catalog_of


def label(text: str) -> tuple[str, str]:
    """The name and value of `name=value`."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise ValueError(text)
    return name, value


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__, triggered=False)
    add = parser.add_argument
    add(
        "--match",
        type=label,
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="alertname, model, column, slice or severity; all that are given must match",
    )
    add("--for", dest="span", type=parse_span, help="how long, such as '2 hours'")
    add("--reason", default="", help="why, in words; it goes on record")
    add("--who", default=getpass.getuser(), help="who silences (default: %(default)s)")
    add("--end", metavar="ID", help="end this silence now")
    options = parser.parse_args(words)
    if bool(options.match) != bool(options.span):
        parser.error("--match and --for go together")
    model, root = located(options, is_recorded=bool(options.match or options.end))
    notifier, at = Notifier(root, model, catalog_of(model)), dt.datetime.now(dt.UTC)
    if options.end:
        notifier.end_silence(options.end, options.who, options.reason, at)
    elif options.match:
        notifier.silence(dict(options.match), options.span, options.who, options.reason, at)
    print(*notifier.silences_in_words(at), sep="\n")


if __name__ == "__main__":
    run_job(main)
