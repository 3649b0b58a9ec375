"""Runs the whole way once, in one session: ingest, score, aggregate, decide and, where need be,
retrain and promote.
"""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.app.whole_way import run_pipeline


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = job_parser(__doc__).parse_args(words)
    run_pipeline(opened(options), options.trigger)


if __name__ == "__main__":
    run_job(main)
