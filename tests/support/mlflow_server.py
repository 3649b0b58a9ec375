"""A real MLflow server in this process, which refuses, hangs, errs or dies when a test says so."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

Fails = Callable[[str], bool]
REFUSES, HANGS, ERRS = "refuses", "hangs", "errs"


class FaultyServer:
    """An MLflow server that keeps its runs, versions and files in a folder.

    Attributes:
        address: of the server.
        fault: what it does to each request; None while it is well.
        requests: the paths that it was asked for.
        dies_at: a request at which it begins to refuse; never without it.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.fault: str | None = None
        self.requests: list[str] = []
        self.dies_at: Fails = lambda path: False
        self.let_go = threading.Event()

    def heals(self) -> None:
        """It is well from now on, and forgets what it was asked."""
        self.fault, self.dies_at = None, lambda path: False
        self.requests.clear()


@contextmanager
def faulty_server(folder: Path) -> Iterator[FaultyServer]:
    """The server of a folder, which has a copy of MLflow's own tables or gets them."""
    # Seconds, which tests without a server need not wait for.
    from mlflow.server import app, handlers

    database = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(folder / "artifacts"))
        patch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        for name in ("_tracking_store", "_model_registry_store", "_artifact_repo"):
            if hasattr(handlers, name):
                patch.setattr(handlers, name, None)
        handlers.initialize_backend_stores(database, database, "mlflow-artifacts:/")
        listening = make_server(
            "127.0.0.1", 0, app, threaded=True, request_handler=_handler(lambda: server)
        )
        server = FaultyServer(listening.server_port)
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            listening.shutdown()
            listening.server_close()


def _handler(server: Callable[[], FaultyServer]) -> type[WSGIRequestHandler]:
    class Handler(WSGIRequestHandler):
        def run_wsgi(self) -> None:
            faulty = server()
            faulty.requests.append(self.path)
            if faulty.dies_at(self.path):
                faulty.fault = REFUSES
            if faulty.fault == HANGS:
                faulty.let_go.wait(60)
            if faulty.fault == ERRS:
                self.send_error(500)
            elif faulty.fault is None:
                super().run_wsgi()
            self.close_connection = True

        def log(self, *_: Any) -> None:
            """Say nothing of a request."""

    return Handler
