"""Runs an endpoint: its settings, its log, the watcher, and uvicorn around the application."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import uvicorn

from lakehouse.errors import ConfigurationError
from lakehouse.loopback import HOST
from lakehouse.serving.application import Endpoint, hosts_of_loopback
from lakehouse.serving.champions import Champions, Watcher
from lakehouse.serving.earlier_rows import EarlierRows
from lakehouse.serving.measures import Measures
from lakehouse.serving.predicting import Predictor
from lakehouse.serving.rows import RowRules
from lakehouse.serving.served_lines import Rotation, ServedLines
from lakehouse.serving.tokens import check_host, tokens_of
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.storage.lakehouse import absolute
from lakehouse.storage.plain_tables import table_version
from lakehouse.tables import catalog_of

_MOST_AT_ONCE = 256
"""Connections; more are told 503 at once."""
_LAST_SECONDS = 30
"""What a request may take once the process is told to end."""


@dataclass(frozen=True)
class ServeOptions:
    """How an endpoint is run.

    Attributes:
        host: address that it binds.
        port: 0 for any that is free.
        poll: seconds between two looks at the ledger and at the file of served lines.
        rotation: when served lines land.
    """

    host: str = HOST
    port: int = 8080
    poll: float = 2.0
    rotation: Rotation = field(default_factory=Rotation)


def serve(
    root: str,
    model: ModelSettings,
    environment: EnvironmentSettings,
    options: ServeOptions,
    variables: Mapping[str, str] = os.environ,
) -> None:
    """Answer until the process is told to end (SIGINT, SIGTERM); then finish what was asked.

    Raises:
        ConfigurationError: a setting is impossible, or the port is taken.
        StoreError: there is no lakehouse at the root.
    """
    with opened_endpoint(root, model, environment, options, variables) as endpoint:
        listener = listener_at(options)
        host, port = listener.getsockname()[:2]
        print(f"serving {model.name} on http://{host}:{port}", flush=True)
        config = uvicorn.Config(
            endpoint.application(),
            access_log=False,  # addresses and paths are a proxy's to log
            log_level="warning",
            limit_concurrency=_MOST_AT_ONCE,
            timeout_graceful_shutdown=_LAST_SECONDS,
            server_header=False,
            lifespan="off",
        )
        uvicorn.Server(config).run([listener])


@contextmanager
def opened_endpoint(
    root: str,
    model: ModelSettings,
    environment: EnvironmentSettings,
    options: ServeOptions,
    variables: Mapping[str, str],
) -> Iterator[Endpoint]:
    """An endpoint that follows its lakehouse; at the end what was answered lands.

    Raises:
        ConfigurationError: a setting is impossible.
        StoreError: there is no lakehouse at the root.
    """
    table_version(root, catalog_of(model).promotion)  # before a folder is made there
    tokens = tokens_of(root, variables)
    check_host(options.host, tokens)
    landing = absolute(environment.landing) if environment.landing else f"{root}/landing"
    if "://" in landing:
        raise ConfigurationError(
            f"landing: {landing} is no folder of this machine, where served lines are written "
            "first; name a folder, and copy its files from there"
        )
    rules = RowRules(model)
    lines = ServedLines(Path(landing), model.readings.table, options.rotation)
    champions = Champions(root, model, environment)
    measures = Measures(model.name, champions, lines)
    lines.open()
    champions.look()
    earlier = EarlierRows(root, model) if model.history.features else None
    looks = [champions.look, lines.land_due]
    if earlier is not None:
        earlier.look()
        looks.append(earlier.look)
    watcher = Watcher(options.poll, *looks)
    watcher.start()
    try:
        predictor = Predictor(rules, champions, lines, measures, earlier)
        hosts = frozenset(hosts_of_loopback(tokens.user is None))
        yield Endpoint(predictor, tokens, landing, _release(), hosts)
    finally:
        watcher.stop()
        lines.close()


def listener_at(options: ServeOptions) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Asyncio turns off Nagle's algorithm, which holds an answer back for 40 ms, only where a socket
    # names its protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
        listener.listen()  # from now on connections wait for the application
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"--host {options.host} --port {options.port}: {error.strerror}; write another one"
        ) from None
    return listener


def _release() -> str:
    try:
        return version("glassware-lakehouse")
    except PackageNotFoundError:  # the code was copied, not installed
        return "unknown"
