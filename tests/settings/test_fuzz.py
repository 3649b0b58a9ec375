"""Whatever a settings file holds, it gives a checked model or one error in sentences."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.errors import ConfigurationError
from lakehouse.settings import load_model_settings
from lakehouse.sql.views import views_of
from lakehouse.tables import catalog_of

SHIPPED = Path("conf/glassware.yaml").read_bytes()
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**70, 1.5, float("nan"), float("inf"), "", " ", "a", "é"),
    *("a.b", "a b", "x'; DROP TABLE y; --", "`", '"', "../../etc", "/", "\u202e", "a" * 5000),
    *("1 day", "-1 day", "1e400 days", "99999999999 days", "never", "2019-13-01", "select"),
    *("temp", "pid", "quality", "window", "*", ":table", [], [None], ["a", "a"], [[]], {}),
    *({"a": 1}, {1: 2}, {None: None}),
)
_BYTES = (
    *(b"\xff", b"\x00", b":", b"-", b"\t", b"&a *a", b"<<: *a", b"!!python/object:os.system"),
    *(b"{", b"]", b"\n", b"'", b"? ", b"|", b"%"),
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_any_file_gives_a_model_or_one_error(seed: int, tmp_path: Path) -> None:
    path, valid = tmp_path / "model.yaml", 0
    for content in _files(300, seed):
        path.write_bytes(content)
        try:
            model = load_model_settings(str(path))
            views_of(model, catalog_of(model))
            valid += 1
        except ConfigurationError as error:
            assert all(line.startswith(str(path)) for line in str(error).splitlines() if line)
            assert len(str(error)) < 20_000
    assert 0 < valid < 200


def test_a_file_whose_aliases_grow_without_end_is_an_error_like_others(tmp_path: Path) -> None:
    layers = [f"x{n}: &n{n} [{', '.join([f'*n{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "model.yaml"
    path.write_text("\n".join(["x0: &n0 [x, x]", *layers, "name: *n11", SHIPPED.decode()]))
    with pytest.raises(ConfigurationError, match="name: is given twice"):
        load_model_settings(str(path))
    path.write_text(path.read_text().replace("name: glassware", ""))
    with pytest.raises(ConfigurationError, match="name: Input should be a valid string"):
        load_model_settings(str(path))


def _files(n: int, seed: int) -> Iterator[bytes]:
    """Yield files with values, keys and places that nobody meant, some with other bytes as well."""
    chance, shipped = random.Random(seed), yaml.safe_load(SHIPPED)
    for _ in range(n):
        document = copy.deepcopy(shipped)
        for _ in range(chance.choice((1, 1, 2, 3))):
            _change(document, chance)
        content = yaml.safe_dump(document, allow_unicode=True).encode()
        yield _with_other_bytes(content, chance) if chance.random() < 0.3 else content


def _change(document: Any, chance: random.Random) -> None:
    places = list(_places(document))
    if not places:
        return
    holder, key = chance.choice(places)
    kind = chance.random()
    if kind < 0.6:
        holder[key] = copy.deepcopy(chance.choice(_ODD))
    elif kind < 0.75:
        del holder[key]
    elif kind < 0.9 and isinstance(holder, dict):
        holder[chance.choice(("extra", 1, None, "temp", "é", ""))] = holder.pop(key)
    else:
        other, name = chance.choice(places)
        holder[key] = copy.deepcopy(other[name])


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(entries):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _with_other_bytes(content: bytes, chance: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice((1, 2, 5))):
        place = chance.randrange(len(found) + 1)
        found[place : place + chance.choice((0, 1, 3))] = chance.choice(_BYTES)
    return bytes(found)
