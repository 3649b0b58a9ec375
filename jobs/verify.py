"""Checks that a lakehouse is what it promises: nothing lost, nothing twice, all of it recomputed;
exit code 1 on any difference.
"""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.ingest.account import account, files_account
from lakehouse.lineage.verification import as_lines
from lakehouse.verification.verify import checks_of


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line; it waits for nobody and changes nothing."""
    lakehouse = opened(job_parser(__doc__, triggered=False).parse_args(words))
    accounts = account(lakehouse)
    print(*accounts, *files_account(lakehouse), sep="\n")
    lines, is_same = as_lines(checks_of(lakehouse, accounts), lakehouse.store.root)
    print(*lines, sep="\n")
    return int(not is_same)


if __name__ == "__main__":
    run_job(main)
