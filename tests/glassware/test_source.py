"""The Spark data source gives the stream's own rows: whole, once, and again after a restart."""

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows

from lakehouse.errors import ConfigurationError
from lakehouse.glassware.pieces import Stream
from lakehouse.glassware.source import (
    GlasswareDataSource,
    GlasswareStreamReader,
    IdRange,
    SourceOptions,
    parse_options,
    record_batches,
    split,
)

OPTIONS = {"scenario": "sensor_fault", "seed": "3", "pieces": "3600", "period": "60"}
STREAM = Stream("sensor_fault", seed=3, pieces=3600, period=60.0)


@pytest.fixture(scope="module")
def glassware(spark: SparkSession) -> SparkSession:
    spark.dataSource.register(GlasswareDataSource)
    return spark


def expected(kind: str) -> list[dict]:
    """The stream's rows as Spark collects them: moments in UTC, without a zone."""
    rows = getattr(STREAM, kind)(1, STREAM.pieces).to_pandas()
    return as_values(
        rows.apply(
            lambda column: column.dt.tz_localize(None) if column.name.endswith("_time") else column
        )
    )


def as_values(frame: pd.DataFrame) -> list[dict]:
    frame = frame.sort_values("pid", kind="stable")
    return [
        {k: None if pd.isna(v) else v for k, v in row.items()} for row in frame.to_dict("records")
    ]


@pytest.mark.parametrize("kind", ["readings", "labels"])
@pytest.mark.parametrize("rows_per_partition", ["1000", "100000"])
def test_a_batch_read_gives_the_rows_of_the_stream(
    glassware: SparkSession, kind: str, rows_per_partition: str
) -> None:
    reader = glassware.read.format("glassware").options(
        **OPTIONS, kind=kind, rows_per_partition=rows_per_partition
    )
    frame = reader.load()
    assert frame.rdd.getNumPartitions() == (4 if rows_per_partition == "1000" else 1)
    assert as_values(frame.toPandas()) == expected(kind)


def run(spark: SparkSession, folder: Path, rows_per_batch: int, pieces: int = 3600) -> list[int]:
    """Reads all that is available into Parquet; gives the sizes of the micro-batches of this
    run.
    """
    source = spark.readStream.format("glassware").options(**OPTIONS | {"pieces": str(pieces)})
    frame = source.options(rows_per_batch=rows_per_batch, rows_per_partition=300).load()
    sink = frame.writeStream.format("parquet").option(
        "checkpointLocation", str(folder / "checkpoint")
    )
    query: StreamingQuery = sink.trigger(availableNow=True).start(str(folder / "rows"))
    assert query.awaitTermination(120)
    return [
        progress["numInputRows"] for progress in query.recentProgress if progress["numInputRows"]
    ]


def test_a_stream_gives_every_row_once_in_micro_batches_of_the_asked_size(
    glassware: SparkSession, tmp_path: Path
) -> None:
    assert run(glassware, tmp_path, rows_per_batch=1000) == [1000, 1000, 1000, 600]
    assert as_values(glassware.read.parquet(str(tmp_path / "rows")).toPandas()) == expected(
        "readings"
    )


def test_a_restart_goes_on_exactly_and_finds_nothing_when_all_is_read(
    glassware: SparkSession, tmp_path: Path
) -> None:
    assert run(glassware, tmp_path, rows_per_batch=900, pieces=1500) == [900, 600]
    assert run(glassware, tmp_path, rows_per_batch=1200) == [1200, 900]
    assert run(glassware, tmp_path, rows_per_batch=1200) == []
    assert as_values(glassware.read.parquet(str(tmp_path / "rows")).toPandas()) == expected(
        "readings"
    )


def test_a_micro_batch_that_was_not_committed_is_read_again_with_the_same_rows(
    glassware: SparkSession, tmp_path: Path
) -> None:
    seen: list[tuple[int, list[dict]]] = []

    def dies_in_the_second(frame, batch: int) -> None:
        seen.append((batch, as_values(frame.toPandas())))
        if len(seen) == 2:
            raise RuntimeError("killed")

    def start(rows_per_batch: int) -> StreamingQuery:
        frame = (
            glassware.readStream.format("glassware")
            .options(**OPTIONS, rows_per_batch=rows_per_batch)
            .load()
        )
        sink = frame.writeStream.foreachBatch(dies_in_the_second).option(
            "checkpointLocation", str(tmp_path)
        )
        return sink.trigger(availableNow=True).start()

    with pytest.raises(Exception, match="killed"):
        start(1500).awaitTermination(120)
    start(5000).awaitTermination(120)
    assert [batch for batch, _ in seen] == [0, 1, 1, 2]
    assert seen[1] == seen[2]
    assert seen[0][1] + seen[2][1] + seen[3][1] == expected("readings")


def test_an_unknown_option_is_named_in_the_error(glassware: SparkSession) -> None:
    with pytest.raises(
        Exception, match="szenario: no such option; the glassware source knows scenario, seed"
    ):
        glassware.read.format("glassware").option("szenario", "demo").load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "colour: no such option"),
        ({"kind": "truth"}, "kind: 'truth' is impossible; write readings or labels"),
        ({"pieces": "many"}, "pieces: 'many' is impossible; write a whole number"),
        ({"rows_per_batch": "0"}, "rows_per_batch: '0' is impossible"),
        ({"period": "soon"}, "period: 'soon' is impossible"),
        ({"seed": "1.5"}, "seed: '1.5' is impossible"),
        ({"scenario": "drift"}, "scenario: 'drift' is not known; write one of demo"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_options(options)


def test_without_options_it_is_the_demonstration() -> None:
    assert parse_options({}) == SourceOptions(Stream())


def test_the_read_limit_of_the_engine_wins_over_the_option() -> None:
    reader = GlasswareStreamReader(SourceOptions(Stream(pieces=100), rows_per_batch=30))
    assert reader.getDefaultReadLimit() == ReadMaxRows(30)
    assert (
        GlasswareStreamReader(SourceOptions(Stream())).getDefaultReadLimit() == ReadAllAvailable()
    )
    assert reader.latestOffset({"last_id": 0}, ReadAllAvailable()) == {"last_id": 100}
    assert reader.latestOffset({"last_id": 50}, ReadMaxRows(7)) == {"last_id": 57}
    assert reader.latestOffset({"last_id": 90}, ReadMaxRows(30)) == {"last_id": 100}
    assert reader.latestOffset({"last_id": 100}, ReadMaxRows(30)) == {"last_id": 100}
    assert reader.partitions({"last_id": 100}, {"last_id": 100}) == []


def test_a_large_partition_comes_in_arrow_batches_of_bounded_size() -> None:
    sizes = [
        batch.num_rows
        for batch in record_batches(SourceOptions(Stream(pieces=120_000)), IdRange(1, 120_000))
    ]
    assert sizes == [50_000, 50_000, 20_000]


def test_split_covers_every_id_once() -> None:
    assert split(5, 11, 3) == [IdRange(5, 7), IdRange(8, 10), IdRange(11, 11)]
    assert split(5, 4, 3) == []
