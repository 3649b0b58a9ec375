"""Takes in what has landed: lines to bronze, valid rows to silver, the others to quarantine with
their reasons.
"""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.ingest.pipeline import ingest


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = job_parser(__doc__).parse_args(words)
    ingest(opened(options), options.trigger)


if __name__ == "__main__":
    run_job(main)
