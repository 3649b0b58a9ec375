"""Writes the page that shows how the models of one or more lakehouses are, as one HTML file; or
serves it on 127.0.0.1, renewed whenever a table has moved.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lakehouse.app.command_line import run_job
from lakehouse.dashboard.build import page_path, write_page
from lakehouse.dashboard.server import server_of
from lakehouse.loopback import HOST


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--root", action="append", type=Path, help="a lakehouse; repeat it for more models")
    add("--output", type=Path, help="the file (default: report/dashboard.html of the first root)")
    add("--serve", action="store_true", help="serve it until interrupted")
    add("--port", type=int, default=8050, help="where it is served (default: %(default)s)")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run the job with the words of a command line."""
    options = parse(words)
    roots = options.root or [Path(".lakehouse/main")]
    if options.serve:
        with server_of(roots, options.port) as server:
            print(f"http://{HOST}:{server.server_address[1]}/", flush=True)
            server.serve_forever()
    path = options.output or page_path(roots[0])
    changed = write_page(roots, path)
    print(f"{path}{'' if changed else ' (unchanged)'}")


if __name__ == "__main__":
    run_job(main)
