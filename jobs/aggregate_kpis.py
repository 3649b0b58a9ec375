"""Brings the KPI and drift tables up to date with new predictions and labels."""

from collections.abc import Sequence

from lakehouse.stations.aggregate_kpis import aggregate_kpis
from lakehouse.stations.command_line import job_parser, opened, run_job


def main(words: Sequence[str] | None = None) -> None:
    """Runs the job with the words of a command line."""
    options = job_parser(__doc__).parse_args(words)
    aggregate_kpis(opened(options), options.trigger)


if __name__ == "__main__":
    run_job(main)
