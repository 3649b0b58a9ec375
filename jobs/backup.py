"""Copies a lakehouse to a new folder while other jobs write to it: all of it as of one moment."""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.recovery.backup import back_up


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line; it needs no Spark."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--into", required=True, help="the folder of the copy; a new one")
    options = parser.parse_args(words)
    _, root = located(options)
    copied = back_up(root, options.into)
    print(f"{copied.into}: {len(copied.versions)} tables, checkpoints, registry, landed files")


if __name__ == "__main__":
    run_job(main)
