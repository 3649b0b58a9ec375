"""Goes back to the version that the champion took over from, and puts it on record."""

import getpass
from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.versions.promotion import rollback


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--reason", required=True, help="why, in words; it goes on record")
    parser.add_argument(
        "--who", default=getpass.getuser(), help="who does it (default: %(default)s)"
    )
    options = parser.parse_args(words)
    before, after = rollback(opened(options), options.who, options.reason)
    print(f"champion is version {after}, it was {before}")


if __name__ == "__main__":
    run_job(main)
