"""Writes docs/tables.md and its list in the README anew: python -m tools.tables_doc"""

import re
from pathlib import Path

from lakehouse.settings import load_model_settings
from lakehouse.sql.catalogue import as_list, as_markdown
from lakehouse.sql.views import views_of
from lakehouse.tables import catalog_of

README, PAGE = Path("README.md"), Path("docs/tables.md")
_LIST = re.compile(r"(?<=<!-- tables: generated -->\n).*?(?=\n<!-- end of tables -->)", re.DOTALL)


def made() -> dict[Path, str]:
    """Return what both files should hold."""
    model = load_model_settings("conf/glassware.yaml")
    catalog = catalog_of(model)
    views = views_of(model, catalog)
    readme, found = _LIST.subn(
        lambda _: as_list(catalog, views), README.read_text(encoding="utf-8")
    )
    if found != 1:
        raise ValueError(f"{README}: {found} places for the list of tables; one is needed")
    return {README: readme, PAGE: as_markdown(catalog, views)}


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
