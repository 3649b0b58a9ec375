import re
from pathlib import Path

import yaml

from lakehouse.settings import load_model_settings
from lakehouse.sql.catalogue import as_spark_sql
from lakehouse.tables import catalog_of
from tools import tables_doc

README = Path("README.md").read_text(encoding="utf-8")
MODEL = load_model_settings("conf/glassware.yaml")
CATALOG = catalog_of(MODEL)


def test_the_catalogue_and_its_list_are_what_the_declarations_say() -> None:
    for path, text in tables_doc.made().items():
        assert path.read_text(encoding="utf-8") == text, "write it anew: python -m tools.tables_doc"


def test_every_job_is_in_the_readmes_table_of_jobs() -> None:
    jobs = {path.stem for path in Path("jobs").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"^\| `(\w+)` \| [a-z]", README, re.MULTILINE)) >= jobs


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not Path(link).exists()] == []


def test_the_init_sql_names_every_table_and_its_place() -> None:
    sql = as_spark_sql(
        CATALOG, (), "/lakehouse", lambda table: f"/lakehouse/{table.layer}/{table.name}"
    )
    for table in CATALOG.tables:
        (statement,) = [line for line in sql.splitlines() if f" {table.full_name} " in line]
        assert statement.startswith("CREATE TABLE IF NOT EXISTS")
        assert statement.endswith(f" LOCATION '/lakehouse/{table.layer}/{table.name}';")


def test_every_job_is_at_most_about_sixty_lines() -> None:
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in Path("jobs").glob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_the_readmes_metrics_are_settings_that_are_accepted() -> None:
    shown = next(
        block
        for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
        if block.startswith("metrics:")
    )
    glassware = load_model_settings("conf/glassware.yaml")
    metrics = glassware.metrics.model_validate(yaml.safe_load(shown)["metrics"])
    assert set(metrics.model_fields_set) == set(
        type(metrics).model_fields
    )  # every setting is shown
