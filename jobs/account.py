"""Prints what became of each line that came in; exit code 1 where one is lost or in two places."""

from collections.abc import Sequence

from lakehouse.stations.account import account
from lakehouse.stations.command_line import job_parser, opened, run_job


def main(words: Sequence[str] | None = None) -> int:
    """Runs the job with the words of a command line."""
    accounts = account(opened(job_parser(__doc__, triggered=False).parse_args(words)))
    print(*accounts, sep="\n")
    return 0 if all(each.balances for each in accounts) else 1


if __name__ == "__main__":
    run_job(main)
