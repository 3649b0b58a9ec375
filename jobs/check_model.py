"""Tests a version, promoted or waiting, beside what its verdict has on record; without Spark."""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.explain.checked import as_lines, checked
from lakehouse.settings import load_environment_settings


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line; it writes nothing.

    Returns:
        1 where a demanded test fails.
    """
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--version", help="its number (default: the one that was judged last)")
    options = parser.parse_args(words)
    model, root = located(options, is_recorded=False)
    environment = load_environment_settings(options.environment)
    result = checked(root, model, environment, options.version)
    print(*as_lines(result, model.name), sep="\n")
    return int(not result.passed)


if __name__ == "__main__":
    run_job(main)
