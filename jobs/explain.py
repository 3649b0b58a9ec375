"""Says of one row what versions call it and why: each feature's part, and the nearest border."""

from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, located, run_job
from lakehouse.explain.explanation import explained
from lakehouse.explain.words import as_lines
from lakehouse.settings import load_environment_settings


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line; it needs no Spark and writes nothing."""
    parser = job_parser(__doc__, triggered=False)
    parser.add_argument("--key", required=True, help="key of the reading")
    options = parser.parse_args(words)
    model, root = located(options, is_recorded=False)
    environment = load_environment_settings(options.environment)
    print(*as_lines(explained(root, model, environment, options.key)), sep="\n")


if __name__ == "__main__":
    run_job(main)
