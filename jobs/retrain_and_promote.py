"""Decides as of the newest labels; where a margin is exceeded, trains, proves and promotes a new
model.
"""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.retraining.retrain_and_promote import retrain_and_promote


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = job_parser(__doc__).parse_args(words)
    retrain_and_promote(opened(options), options.trigger)


if __name__ == "__main__":
    run_job(main)
