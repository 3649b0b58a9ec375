"""Prints what became of each landed file and each line of them; exit code 1 where a line is lost or
in two places.
"""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.ingest.account import account, files_account


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line."""
    lakehouse = opened(job_parser(__doc__, triggered=False).parse_args(words))
    accounts = account(lakehouse)
    print(*accounts, *files_account(lakehouse), sep="\n")
    return 0 if all(each.balances for each in accounts) else 1


if __name__ == "__main__":
    run_job(main)
