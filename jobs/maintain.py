"""Keeps a lakehouse small: gathers small files, removes old versions that nobody needs."""

from collections.abc import Sequence

from lakehouse.app.command_line import hold_alone, job_parser, located, run_job
from lakehouse.errors import ConfigurationError
from lakehouse.maintenance.account import as_lines
from lakehouse.maintenance.maintain import Maintenance
from lakehouse.maintenance.reading import JOB, Reading
from lakehouse.settings import load_environment_settings


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line; it needs no Spark."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    parser.add_argument(
        "--keep-days",
        type=int,
        help="remove all versions that are older, or refuse where one is needed; without it, what "
        "is needed is kept and the tables' own days count",
    )
    options = parser.parse_args(words)
    if options.keep_days is not None and options.keep_days < 0:
        raise ConfigurationError("--keep-days: write a number of days, 0 or more")
    model, root = located(options, is_recorded=not options.dry_run)
    environment = load_environment_settings(options.environment).model_copy(update={"root": root})
    if not options.dry_run:
        hold_alone(environment, [JOB])
    reading = Reading(root, model, environment)
    accounts = Maintenance(reading, options.keep_days).accounts(options.dry_run)
    print(*as_lines(accounts, options.dry_run), sep="\n")
    return 0


if __name__ == "__main__":
    run_job(main)
