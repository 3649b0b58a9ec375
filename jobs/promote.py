"""Decides on the version that waits for approval (`approval: manual`), and puts the decision on
record.
"""

import getpass
from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.versions.promotion import answer


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__, triggered=False)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--approve", action="store_true", help="the version takes over")
    choice.add_argument("--reject", action="store_true", help="it does not; the champion stays")
    parser.add_argument("--reason", required=True, help="why, in words; it goes on record")
    parser.add_argument(
        "--version", help="the one that was looked at: refused if another one waits by now"
    )
    parser.add_argument(
        "--who", default=getpass.getuser(), help="who decides (default: %(default)s)"
    )
    options = parser.parse_args(words)
    version = answer(opened(options), options.approve, options.who, options.reason, options.version)
    print(f"version {version} is champion" if options.approve else f"version {version} is refused")


if __name__ == "__main__":
    run_job(main)
