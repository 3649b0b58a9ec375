"""`history:` of a model: features become columns of the readings; what is wrong is one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.errors import ConfigurationError
from lakehouse.models import features_of
from lakehouse.settings import load_model_settings
from lakehouse.tables import catalog_of
from tests.support.furnace import history

GLASSWARE = Path("conf/glassware.yaml")
HISTORY = history("30 days")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def write(history: dict[str, Any], features: tuple[str, ...] = ()) -> Path:
        content = yaml.safe_load(GLASSWARE.read_text()) | {"history": history}
        content["predictions"]["features"] += features
        path = tmp_path / "model.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_features_are_columns_of_readings_that_no_line_has(
    written: Callable[..., Path],
) -> None:
    model = load_model_settings(written(HISTORY, ("temp_mean_1h", "since_maintenance")))
    plain = load_model_settings(GLASSWARE)
    assert features_of(model).names == [*features_of(plain).names, *HISTORY["features"]]
    assert model.readings.landed == plain.readings.columns
    assert [column.comment for column in model.readings.computed.values()] == [
        "mean of temp over 1 hour",
        "seconds_since in maintenance over 30 days",
    ]
    catalog = catalog_of(model)
    for table in (catalog.readings, catalog.predictions):
        assert set(HISTORY["features"]) <= {column.name for column in table.columns}


def test_without_history_nothing_is_added(written: Callable[..., Path]) -> None:
    assert load_model_settings(written({})) == load_model_settings(GLASSWARE)


REFUSED = [
    ("by", "colour", "history.by: declare colour in readings.columns"),
    ("by", "temp", "history.by: declare temp in readings.columns"),
    ("features.temp.what", "mean", "history.features.temp"),
    ("features.temp_mean_1h.what", "median", "history.features.temp_mean_1h.what"),
    ("features.temp_mean_1h.over", "0 hours", "history.features.temp_mean_1h.over: write a number"),
    ("features.temp_mean_1h.over", None, "history.features.temp_mean_1h.over: is missing"),
    ("features.temp_mean_1h.of", None, "of: write the column that the mean is of"),
    ("features.temp_mean_1h.of", "colour", "history.features.temp_mean_1h.of: there is no column"),
    ("features.temp_mean_1h.of", "process_time", "process_time is no number"),
    ("features.temp_mean_1h.table", "repairs", "declare repairs in history.tables"),
    ("features.since_maintenance.of", "job", "of: leave it out"),
    ("features.change", {"what": "difference", "of": "job", "table": "maintenance",
                         "over": "1 day"}, "a `difference` is to the row's own value"),
    ("features.temp", {"what": "count", "over": "1 day"}, "readings.columns has that name"),
    ("tables.maintenance.key", "name", "key: declare name under columns"),
    ("tables.maintenance.time", "job", "write `type: timestamp`"),
    ("tables.sensor_reading", HISTORY["tables"]["maintenance"], "another table has that name"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "says"), REFUSED)
def test_a_wrong_history_gives_one_sentence(
    path: str, value: Any, says: str, written: Callable[..., Path]
) -> None:
    file = written(changed(HISTORY, path.split("."), value))
    with pytest.raises(ConfigurationError) as error:
        load_model_settings(file)
    (sentence, *_) = str(error.value).splitlines()
    assert sentence.startswith(f"{file}: ")
    assert says in sentence


def changed(content: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """The content with another value at the path; None takes it away."""
    name, *rest = path
    if rest:
        return content | {name: changed(content.get(name, {}), rest, value)}
    if value is None:
        return {key: each for key, each in content.items() if key != name}
    return content | {name: value}
