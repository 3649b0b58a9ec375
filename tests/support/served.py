"""A lakehouse on disk with promoted versions, and an endpoint of it: without Spark."""

import datetime as dt
import hashlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
import yaml

from lakehouse.models import Meaning, TrainingSet, Trial, dump, features_of, problem_of
from lakehouse.models.trials import build
from lakehouse.serving.application import Endpoint
from lakehouse.serving.serve import ServeOptions, opened_endpoint
from lakehouse.serving.served_lines import Rotation
from lakehouse.settings import EnvironmentSettings, ModelSettings, load_model_settings
from lakehouse.tables import catalog_of
from tests.support import plain_delta

GLASSWARE = yaml.safe_load(Path("conf/glassware.yaml").read_text(encoding="utf-8"))
MODEL = load_model_settings("conf/glassware.yaml")
START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
FOREST = ("random_forest", {"n_estimators": 10, "min_samples_leaf": 3})
ROLLOUT = "glassware-2-20240301T000000"
READING = {
    "pid": 7,
    "process_time": "2024-03-01T10:00:00Z",
    "temp": 352.4,
    "pressure": 10.1,
    "duration": 30.0,
}
FEATURES = {name: READING[name] for name in ("temp", "pressure", "duration")}


def settings_of(kind: str) -> ModelSettings:
    """The glass works' settings, changed to another kind of problem."""
    settings = yaml.safe_load(yaml.safe_dump(GLASSWARE))
    columns = settings["readings"]["columns"]
    label = settings["labels"]["columns"]["quality"]
    if kind == "three classes":
        label |= {"type": "string", "values": ["bad", "good", "so so"]}
        settings["predictions"]["positive"] = "good"
    if kind == "double classes":
        label["type"] = "double"
    if kind == "numbers":
        label |= {"type": "double"}
        del label["values"], settings["predictions"]["positive"]
        settings["predictions"] |= {"problem_type": "regression", "tolerance": 1.0}
        settings["training"]["families"] = {"decision_tree": {}}
    if kind == "text":
        columns["line"] = {"type": "string", "nullable": True}
        columns["temp"]["nullable"] = True
        settings["predictions"]["features"].append("line")
    return ModelSettings.model_validate(settings)


def sensors(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    temp, pressure, duration = chance.random((3, rows))
    return pd.DataFrame(
        {"temp": 350 + 10 * temp, "pressure": 12 + 2 * pressure, "duration": 28.5 + 4 * duration}
    )


def fitted(model: ModelSettings = MODEL, threshold: float = 355.0, family=FOREST, rows=None):
    """A model whose positive class lies below a temperature; for numbers, the temperature."""
    frame = features_of(model).frame(sensors() if rows is None else rows)
    problem = problem_of(model)
    if model.is_regression:
        targets = frame.iloc[:, 0].to_numpy()
    else:
        place = (frame.iloc[:, 0] < threshold).astype(int)
        targets = problem.targets(np.array(problem.classes, dtype=object)[place])
    data = TrainingSet(
        features_of(model), problem, frame, targets, np.ones(len(frame), dtype=bool), 0
    )
    return build(Trial("all", *family), data).fit(frame, targets)


@dataclass
class Works:
    """A lakehouse at a root."""

    root: Path
    model: ModelSettings = MODEL

    def __post_init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._steps: list[dict[str, Any]] = []
        catalog = catalog_of(self.model)
        self.promotions, self.rollouts = catalog.promotion, catalog.rollout
        for table in (self.promotions, self.rollouts):
            plain_delta.create(self.root, table)

    def promote(self, version: int, pipeline: Any, **given: Any) -> Path:
        """Put a version on record with its file; return the file's path."""
        content = dump(pipeline)
        path = self.file_of(version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        moment = START + dt.timedelta(days=len(self._rows))
        row = {
            "as_of": moment,
            "recorded_at": moment,
            "action": "promote",
            "who": "retrain_and_promote",
            "to_version": str(version),
            "model_sha256": hashlib.sha256(content).hexdigest(),
            "run_id": f"run{version}",
            "meaning": Meaning.of(self.model).to_json(),
        }
        self.write(row | given)
        return path

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(dict(row))
        plain_delta.replace_rows(self.root, self.promotions, self._rows)

    def roll_out(self, version: int, pipeline: Any, share: float, **given: Any) -> Path:
        """Begin a canary of a version against version 1; return its file's path."""
        path = self.promote(version, pipeline, action="rollout", rollout_id=ROLLOUT)
        sha256 = self._rows[-1]["model_sha256"]
        self.step("start", share, challenger=str(version), challenger_sha256=sha256, **given)
        return path

    def step(self, action: str, share: float, **given: Any) -> None:
        """A row of `gold.rollout`: the newest one's, changed."""
        first = {"rollout_id": ROLLOUT, "strategy": "canary", "champion": "1", "reason": "so"}
        moment = START + dt.timedelta(hours=len(self._steps))
        before = self._steps[-1] if self._steps else first
        own = {"action": action, "share": share, "as_of": moment, "recorded_at": moment}
        self._steps.append(before | own | given)
        plain_delta.replace_rows(self.root, self.rollouts, self._steps)

    def file_of(self, version: int) -> Path:
        return self.root / "mlflow/artifacts" / f"run{version}" / "artifacts/model/model.skops"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    def landed(self) -> list[dict[str, Any]]:
        """The lines that have landed."""
        folder = self.landing / self.model.readings.table
        files = sorted(folder.rglob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    @contextmanager
    def endpoint(
        self, variables: Mapping[str, str] | None = None, poll: float = 0.05, **rotation: float
    ) -> Iterator[Endpoint]:
        options = ServeOptions(port=0, poll=poll, rotation=Rotation(**rotation))
        environment = EnvironmentSettings(root=str(self.root))
        with opened_endpoint(
            str(self.root), self.model, environment, options, variables or {}
        ) as endpoint:
            yield endpoint

    @contextmanager
    def client(
        self, variables: Mapping[str, str] | None = None, **given: Any
    ) -> Iterator["Client"]:
        with self.endpoint(variables, **given) as endpoint, serving(endpoint) as client:
            yield client


@contextmanager
def serving(endpoint: Endpoint) -> Iterator["Client"]:
    """A client of the endpoint under uvicorn, on a port that was free."""
    config = uvicorn.Config(
        endpoint.application(), port=0, log_level="warning", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Client(port, endpoint)
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Reply:
    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def document(self) -> Any:
        return json.loads(self.content)


@dataclass
class Client:
    port: int
    endpoint: Endpoint

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.read(), dict(answer.headers))
        connection.close()
        return reply

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, **headers)

    def post(self, path: str, document: Any, **headers: str) -> Reply:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.send("POST", path, body, **{"Content_Type": "application/json", **headers})

    def until(self, path: str, holds: Any) -> Reply:
        """Ask until the answer is as wished."""
        for _ in range(600):
            reply = self.get(path)
            if holds(reply):
                return reply
            threading.Event().wait(0.05)
        raise AssertionError(f"{path}: {reply.status} {reply.content!r}")
