"""A stream that lags goes on after maintenance as if there had been none."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from lakehouse.maintenance.maintain import Maintenance
from lakehouse.maintenance.reading import Reading
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.delta.log_files import Log
from lakehouse.storage.queries import AVAILABLE_NOW, Batch, run, run_all
from lakehouse.storage.store import Store
from lakehouse.tables import SCORING_LEDGER, catalog_of
from tests.support.aged import aged
from tests.support.written import forget_newest_batch

MODEL = load_model_settings("conf/glassware.yaml")
NAME = "lagging"


def test_a_lagging_stream_gets_each_row_once(spark: SparkSession, tmp_path: Path):
    store = Store(spark, str(tmp_path), catalog_of(MODEL))
    store.create_missing()
    (tmp_path / "_system").mkdir()
    (tmp_path / "_system" / "model").write_text(MODEL.name)
    got: list[int] = []

    def append(first: int, n: int) -> None:
        for number in range(first, first + n):
            store.append_rows([{"query_id": "q", "batch_id": number}], SCORING_LEDGER)

    def read() -> list[int]:
        got.clear()

        def take(rows: DataFrame, batch: Batch) -> None:
            got.extend(row["batch_id"] for row in rows.select("batch_id").collect())

        frame = store.read_stream(SCORING_LEDGER)
        run_all([run(store, NAME, frame, take, AVAILABLE_NOW)], AVAILABLE_NOW)
        return sorted(got)

    def maintain() -> Log:
        environment = EnvironmentSettings(root=str(tmp_path))
        Maintenance(Reading(str(tmp_path), MODEL, environment)).accounts(is_dry=False)
        return Log.of(store.path(SCORING_LEDGER))

    append(0, 120)
    assert read() == list(range(120))
    append(120, 3)
    assert read() == [120, 121, 122]
    read_up_to = store.version(SCORING_LEDGER)
    append(123, 117)  # gathered twice meanwhile
    aged(tmp_path)
    # killed before the newest batch was committed: it will be read again
    forget_newest_batch(tmp_path, NAME)
    log = maintain()
    assert log.base(read_up_to - 4) is not None
    assert log.base(20) is None
    assert read() == list(range(120, 240))
    append(240, 1)
    assert read() == [240]

    # Once it has read on, old versions go; what it has not read yet never does.
    aged(tmp_path)
    append(241, 1)
    assert maintain().base(read_up_to) is None
    assert read() == [241]
    assert store.count(SCORING_LEDGER) == 242
    assert store.read(SCORING_LEDGER).count() == 242
