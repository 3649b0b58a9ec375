"""The job: what the command line says is done, or told in one sentence; nothing else is written."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.explore import main
from lakehouse.errors import ConfigurationError
from lakehouse.explore.subject import Span, subject_of
from lakehouse.glassware.pieces import Stream
from lakehouse.settings import load_model_settings
from tests.explore.lakehouses import write
from tests.support.rows import write_parcel_settings, write_repair_settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stream, about = Stream("demo", seed=0), subject_of(load_model_settings("conf/glassware.yaml"))
    rows, labels = stream.readings(1, 800).to_pandas(), stream.labels(1, 600).to_pandas()
    return write(tmp_path_factory.mktemp("job") / "lakehouse", about, rows, labels)


def test_the_page_is_written_and_nothing_else_and_no_spark_is_started(root: Path, capsys) -> None:
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    script = (
        "import sys; from jobs.explore import main; main(['--root', sys.argv[1]]);"
        "from pyspark import SparkContext; assert SparkContext._gateway is None"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(root)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ".", "PATH": "", "JAVA_HOME": "/nowhere", "PYTHONHASHSEED": "7"},
    ).stdout
    page = root / "report" / "explore.html"
    assert said == f"{page}\n"
    after = sorted(path.relative_to(root) for path in root.rglob("*") if "report" not in path.parts)
    assert after == before
    assert [path.name for path in page.parent.iterdir()] == ["explore.html"]
    main(["--root", str(root)])  # this process draws the same bytes as that one
    assert capsys.readouterr().out == f"{page} (unchanged)\n"


def test_spans_columns_and_place_are_those_of_the_command_line(
    root: Path, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "page.html"
    words = ["--root", str(root), "--from", "2019-07-03", "--to", "2019-07-04", "--by", "temp"]
    main([*words, "--compare-to", "2019-07-02", "--output", str(path)])
    text = path.read_text(encoding="utf-8")
    assert "384 rows from 2019-07-03" in text
    assert "By temp" in text
    assert "Rows of 2019-07-03 to 2019-07-04 against up to 2019-07-02" in text
    main([*words, "--compare-to", "2019-07-02", "--output", str(path)])
    assert capsys.readouterr().out == f"{path}\n{path} (unchanged)\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "yesterday"], "--from yesterday: write a day such as 2019-07-01"),
        (["--compare-to", "2019-13-01"], "--compare-to 2019-13-01: write a day"),
        (
            ["--from", "2019-07-02", "--to", "2019-07-01"],
            "--from 2019-07-02 is after --to 2019-07-01",
        ),
        (
            ["--from", "2019-07-01", "--compare-from", "2019-07-01"],
            "both spans are from 2019-07-01 on",
        ),
        (["--by", "colour"], "--by colour: is none of the columns; write one of quality, temp"),
        (["--by", "process_time"], "--by process_time: is none of the columns"),
    ],
)
def test_what_cannot_be_is_one_sentence(root: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        main(["--root", str(root), *words])


def test_a_folder_without_a_lakehouse_and_an_object_store_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no lakehouse; write the folder of one"):
        main(["--root", str(tmp_path)])
    with pytest.raises(ConfigurationError, match="is in an object store; copy it"):
        main(["--root", "s3://bucket/lakehouse"])


def test_a_subject_has_the_features_and_monitored_columns_without_times(tmp_path: Path) -> None:
    parcel = subject_of(load_model_settings(write_parcel_settings(tmp_path)))
    assert [column.name for column in parcel.columns] == ["lane", "grams", "fragile", "found"]
    assert (parcel.by.name, parcel.label.values) == ("outcome", ("ok", "broken", "lost"))
    repair = subject_of(load_model_settings(write_repair_settings(tmp_path)), "workshop")
    assert [column.name for column in repair.columns] == ["cost", "panels", "years", "towed"]
    assert (repair.by.name, repair.focus) == ("workshop", None)


def test_a_span_reaches_to_the_end_of_its_last_day() -> None:
    span = Span(dt.date(2024, 3, 1), dt.date(2024, 3, 2))
    assert span.end == dt.date(2024, 3, 3)
    assert [str(each) for each in (span, Span(), Span(None, dt.date(2024, 3, 1)))] == [
        "2024-03-01 to 2024-03-02",
        "all days",
        "up to 2024-03-01",
    ]
