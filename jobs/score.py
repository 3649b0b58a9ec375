"""Scores new silver rows with the champion, batch by batch; without one they wait."""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.scoring.scorer import score


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = job_parser(__doc__).parse_args(words)
    score(opened(options), options.trigger)


if __name__ == "__main__":
    run_job(main)
