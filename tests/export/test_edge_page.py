"""docs/edge.html in Chromium: it says what the exported model says; left out without a browser or
without onnxruntime-web, whose `dist` folder `ORT_WEB_DIST` names.
"""

import hashlib
import json
import math
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lakehouse.export.equality import answers_of, session_of
from lakehouse.export.export import Export, write
from lakehouse.export.graph import exported, missing_text, text_encoder
from lakehouse.models import Meaning
from tests.support.chromium import PROGRAM, Page, opened_page
from tests.support.served import fitted, sensors, settings_of

DIST = os.environ.get("ORT_WEB_DIST")
SCRIPTS = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None or DIST is None, reason="no Chromium or no ORT_WEB_DIST"),
]
BOOSTING = ("hist_gradient_boosting", {"max_iter": 5})
CASES = [
    ("two classes", ("random_forest", {"n_estimators": 5})),
    ("two classes", BOOSTING),
    ("three classes", ("logistic_regression", {"C": 1.0})),
    ("numbers", BOOSTING),
    ("text", ("random_forest", {"n_estimators": 5})),
]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with opened_page() as opened:
        yield opened


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A folder with the page and onnxruntime-web, served on this machine."""
    shutil.copy("docs/edge.html", tmp_path / "index.html")
    (tmp_path / "ort").mkdir()
    for name in SCRIPTS:
        (tmp_path / "ort" / name).symlink_to(Path(str(DIST)) / name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def rows_of(kind: str) -> pd.DataFrame:
    rows = sensors(40, 7)
    rows.loc[:3, "temp"] = np.nan if kind == "text" else 355.0
    if kind == "text":
        rows["line"] = np.resize(np.array(["a", "b", None, "never seen"], dtype=object), 40)
    return rows


def exported_into(folder: Path, kind: str, family: Any) -> tuple[np.ndarray, np.ndarray]:
    """Write an export; return what onnxruntime says of the rows on this machine."""
    model = settings_of(kind)
    trained = rows_of(kind) if kind == "text" else None
    pipeline, meaning = fitted(model, family=family, rows=trained), Meaning.of(model)
    features, problem = meaning.features, meaning.problem
    content = exported(pipeline, features, problem).SerializeToString(deterministic=True)
    encoder = text_encoder(pipeline)
    missing = {
        name: missing_text(encoder, place)
        for place, name in enumerate(features.categorical)
        if encoder
    }
    report = {
        "model": "glassware",
        "version": "4",
        "features": {"numbers": [*features.numeric], "texts": [*features.categorical]},
        "missing": {"numbers": "NaN", "texts": missing},
        "classes": getattr(problem, "classes", None),
        "onnx_sha256": hashlib.sha256(content).hexdigest(),
    }
    write(Export(content, report), str(folder))
    rows = features.frame(rows_of(kind))
    return answers_of(session_of(content), rows, features, problem, missing.values())


def opened(browser: Page, address: str) -> str:
    """Open the page; return what it says."""
    browser.said.clear()
    browser.asked.clear()
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=address)
    browser.wait("document.body && document.body.dataset.ready")
    return str(browser.value("document.getElementById('call').textContent"))


def given(rows: pd.DataFrame) -> str:
    """The rows as the page takes them: null is missing."""
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return json.dumps(records)


@pytest.mark.parametrize(("kind", "family"), CASES, ids=str)
def test_the_page_says_what_the_exported_model_says(
    browser: Page, address: str, tmp_path: Path, kind: str, family: Any
) -> None:
    codes, outputs = exported_into(tmp_path, kind, family)
    assert opened(browser, address).startswith("prediction: ")
    asked = f"(async () => {{ const found = []; for (const row of {given(rows_of(kind))})"
    found = browser.value(f"{asked} found.push(await predict(row)); return found; }})()")
    predictions = [each["prediction"] for each in found]
    if kind == "numbers":
        assert all(map(math.isclose, predictions, outputs.tolist()))
    else:
        classes = Meaning.of(settings_of(kind)).problem.classes
        assert predictions == [classes[code] for code in codes]
        # onnxruntime-web 1.30 keeps the leaves of `TreeEnsemble` in single precision.
        shown = [each["probabilities"] for each in found]
        np.testing.assert_allclose(shown, outputs, rtol=1e-7, atol=1e-12)
    assert {url.partition("//")[2].partition("/")[0] for url in browser.asked} <= {
        address.removeprefix("http://").rstrip("/"),
        "",
    }


def test_a_file_that_its_report_is_not_of_is_not_used(
    browser: Page, address: str, tmp_path: Path
) -> None:
    exported_into(tmp_path, *CASES[0])
    path = tmp_path / "model.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    assert "is not the file" in opened(browser, address)


def test_what_is_typed_is_predicted_and_shown(browser: Page, address: str, tmp_path: Path) -> None:
    exported_into(tmp_path, *CASES[0])
    opened(browser, address)
    said = []
    for temp in (352, 358):
        values = {"temp": temp, "pressure": 13, "duration": 30}
        for name, value in values.items():
            field = f"document.querySelector('input[name={name}]')"
            browser.value(f"{field}.value = '{value}'")
            browser.value(f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}))")
        expected = browser.value(f"predict({json.dumps(values)})")["prediction"]
        browser.wait(f"document.getElementById('call').textContent === 'prediction: {expected}'")
        said.append(expected)
    assert said == [1, 0]
