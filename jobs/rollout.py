"""Begins to roll out a registered version, or ends the rollout that runs, and puts it on record."""

import getpass
from collections.abc import Sequence

from lakehouse.app.command_line import job_parser, opened, run_job
from lakehouse.retraining.rollout_by_hand import end, start


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = job_parser(__doc__, triggered=False)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--start", metavar="VERSION", help="roll out this registered version")
    choice.add_argument("--abort", action="store_true", help="the champion stays")
    choice.add_argument("--finish", action="store_true", help="the version takes over")
    parser.add_argument("--reason", required=True, help="why, in words; it goes on record")
    parser.add_argument(
        "--who", default=getpass.getuser(), help="who decides (default: %(default)s)"
    )
    options = parser.parse_args(words)
    lakehouse = opened(options)
    if options.start:
        rollout = start(lakehouse, options.start, options.who, options.reason)
        words_of_it = f"is rolled out ({rollout.strategy}, share {rollout.share:.0%})"
    else:
        rollout = end(lakehouse, options.finish, options.who, options.reason)
        words_of_it = "is champion" if options.finish else "is not rolled out any more"
    print(f"version {rollout.challenger} {words_of_it}")


if __name__ == "__main__":
    run_job(main)
