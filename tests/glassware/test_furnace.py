"""The scenario in which the furnace decides: its pieces, its files, and what features of earlier
rows are worth there.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from lakehouse.glassware.furnace import LASTS, LEAST_HOUR_MEAN, FurnaceStream, stream_of
from lakehouse.glassware.gateway import MAINTENANCE, land_until, simulation_in
from lakehouse.glassware.pieces import START, Stream
from lakehouse.history.features import history_features
from lakehouse.models import TrainingSet, features_of, problem_of
from lakehouse.models.trials import Trial, build
from lakehouse.settings import ModelSettings

FURNACE = FurnaceStream(seed=3, pieces=5_000)


def settings_of_the_page() -> ModelSettings:
    """The glass works' settings with the block that docs/history.md shows."""
    text = Path("docs/history.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(history:.*?)```", text, re.DOTALL)
    content = yaml.safe_load(Path("conf/glassware.yaml").read_text()) | yaml.safe_load(block)
    content["predictions"]["features"] += content["history"]["features"]
    return ModelSettings.model_validate(content)


def test_any_partitioning_gives_the_same_pieces() -> None:
    edges = [1, 2, 9, 500, 501, 3000, 5001]
    for make in (FURNACE.readings, FURNACE.labels, FURNACE.truth):
        parts = [make(first, end - 1) for first, end in reversed(list(pairwise(edges)))]
        assert pa.concat_tables(parts[::-1]).equals(make(1, 5_000))
    assert FURNACE.readings(1, 5_000).equals(Stream("stable", 3).readings(1, 5_000))


def test_quality_is_what_the_scenario_says() -> None:
    truth, made = FURNACE.truth(1, 2_000).to_pylist(), FURNACE.readings(1, 2_000).to_pylist()
    stable = Stream("stable", 3).labels(1, 2_000)["quality"].to_pylist()
    ended = [row["ended_at"] for row in FURNACE.maintenance(1, 10).to_pylist()]
    times = [row["process_time"] for row in made]
    for place in range(0, 2_000, 7):
        at = times[place]
        hour = [
            truth[earlier]["temp"]
            for earlier in range(max(0, place - 20), place)
            if times[earlier] > at - timedelta(hours=1)
        ]
        done = [each for each in ended if each <= at]
        is_right = (not hour or np.mean(hour) >= LEAST_HOUR_MEAN) and (
            not done or at - max(done) < LASTS
        )
        assert truth[place]["quality"] == stable[place] * is_right


def test_maintenance_comes_within_a_day_after_it_has_worn_off() -> None:
    ended = [row["ended_at"] for row in FURNACE.maintenance(1, 40).to_pylist()]
    gaps = [later - earlier for earlier, later in pairwise([START - LASTS, *ended])]
    assert all(LASTS <= gap <= LASTS + timedelta(days=1) for gap in gaps)
    for job, moment in enumerate(ended, start=1):
        assert FURNACE.last_maintenance_by(moment) == job
        assert FURNACE.last_maintenance_by(moment - timedelta(seconds=1)) == job - 1
    assert FURNACE.last_maintenance_by(START - timedelta(days=9)) == 0


def test_maintenance_lands_once_with_the_nights_readings(tmp_path: Path) -> None:
    stream = stream_of("furnace", 3, 5_000, 450.0)
    for day in (2, 9, 9, 12):
        land_until(stream, tmp_path, datetime(2019, 7, day, tzinfo=UTC))
    files = sorted((tmp_path / MAINTENANCE).glob("*.jsonl"))
    jobs = [json.loads(line)["job"] for file in files for line in file.read_text().splitlines()]
    assert jobs == list(range(1, stream.last_maintenance_by(datetime(2019, 7, 12)) + 1))
    assert simulation_in(tmp_path) == stream
    assert not (tmp_path / MAINTENANCE / "nothing").exists()
    land_until(Stream("stable"), tmp_path / "other", datetime(2019, 7, 2, tzinfo=UTC))
    assert not (tmp_path / "other" / MAINTENANCE).exists()


@pytest.mark.slow
def test_features_of_earlier_rows_make_the_better_model() -> None:
    model = settings_of_the_page()
    frame = FURNACE.readings(1, 5_000)
    rows = frame.append_column("landed_file_id", pa.repeat(2, len(frame))).append_column(
        "line", pa.array(range(len(frame)))
    )
    jobs = FURNACE.maintenance(1, FURNACE.last_maintenance_by(FURNACE.end))
    jobs = jobs.append_column("landed_file_id", pa.repeat(1, len(jobs))).append_column(
        "line", pa.array(range(len(jobs)))
    )
    found = history_features(
        rows, rows.slice(0, 0), {"maintenance": jobs}, model.history, model.event_time
    )
    own = frame.to_pandas().assign(
        **{name: values.to_numpy(zero_copy_only=False) for name, values in found.items()}
    )
    labels = FURNACE.labels(1, 5_000)["quality"].to_numpy()
    without = ModelSettings.model_validate(yaml.safe_load(Path("conf/glassware.yaml").read_text()))
    shares = []
    for settings in (without, model):
        features, problem = features_of(settings), problem_of(settings)
        rows_, targets = features.frame(own), problem.targets(labels)
        data = TrainingSet(features, problem, rows_, targets, np.ones(5_000, dtype=bool), 0)
        forest = Trial("all", "random_forest", {"n_estimators": 20, "min_samples_leaf": 3})
        fitted = build(forest, data).fit(rows_[:3_000], targets[:3_000])
        shares.append(float((fitted.predict(rows_[3_000:]) == targets[3_000:]).mean()))
    assert shares[0] < 0.82
    assert shares[1] > 0.92
