"""Evaluates the alerts and sends what is new or was not taken yet; without Spark."""

import time
from collections.abc import Sequence

from lakehouse.alerts.notify import Notifier
from lakehouse.alerts.words import as_lines, deliveries_as_lines
from lakehouse.app.command_line import job_parser, located, run_job, serve_metrics
from lakehouse.storage.queries import interval_seconds
from lakehouse.tables import catalog_of


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="print what is new; write and send nothing"
    )
    options = parser.parse_args(words)
    model, root = located(options, is_recorded=not options.dry_run)
    notifier = Notifier(root, model, catalog_of(model))
    if options.dry_run:
        print(*as_lines(notifier.pending()), sep="\n")
        return
    seconds = interval_seconds(options.trigger)
    serve_metrics(root, options.metrics_port, seconds)
    while True:
        done = notifier.notify()
        for line in (*as_lines(done.events), *deliveries_as_lines(done.attempts)):
            print(line, flush=True)
        if seconds is None:
            return
        time.sleep(seconds)


if __name__ == "__main__":
    run_job(main)
