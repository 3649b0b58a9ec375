"""Opens a spark-sql prompt with the databases bronze, silver and gold of a lakehouse, or answers
one query.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import run_job
from lakehouse.sql.prompt import open_prompt


def main(words: Sequence[str] | None = None) -> int:
    """Run the job with the words of a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", default=".lakehouse/main", help="root of the lakehouse (default: %(default)s)"
    )
    parser.add_argument("--query", help="what to answer, in place of a prompt")
    options = parser.parse_args(words)
    return open_prompt(Path(options.root), options.query)


if __name__ == "__main__":
    run_job(main)
