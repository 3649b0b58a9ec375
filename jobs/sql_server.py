"""Serves the tables and views of a lakehouse to JDBC and ODBC clients, on 127.0.0.1 with a
login.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import run_job
from lakehouse.prometheus.publish import serve_exposition
from lakehouse.sql.server import login_of, serve


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", default=".lakehouse/main", help="root of the lakehouse (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=10000,
        help="where to listen on 127.0.0.1 (default: %(default)s)",
    )
    parser.add_argument(
        "--metrics-port", type=int, help="serve /metrics for Prometheus on 127.0.0.1, too"
    )
    options = parser.parse_args(words)
    root = Path(options.root)
    if options.metrics_port is not None:
        serve_exposition(str(root.resolve()), options.metrics_port)
    serve(root, options.port, login_of(root, os.environ))


if __name__ == "__main__":
    run_job(main)
