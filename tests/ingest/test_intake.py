"""Ingest that goes on looks at what has landed only when the last look is taken in. Without Spark."""

from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.ingest import pipeline
from lakehouse.ingest.pipeline import Intake


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the next look finds: the greatest id of a new file, 0 for none; and how many looks."""
    found = SimpleNamespace(next=0, looks=0, read=[])

    def take() -> int:
        found.looks += 1
        return int(found.next)

    def handle(lakehouse: object, looks: Any, batch: object) -> int:
        found.read.append(looks)
        return int(looks)

    monkeypatch.setattr(pipeline, "StockTaker", lambda _: SimpleNamespace(take=take))
    monkeypatch.setattr(pipeline, "_reading", lambda *_: None)
    monkeypatch.setattr(pipeline, "_handle", handle)
    return found


def test_what_lands_while_files_are_read_waits_for_the_next_look(stock: Any) -> None:
    intake, batch = Intake(None, 1.0), None  # type: ignore[arg-type]
    stock.next = 7
    intake.look()
    intake.look()
    intake.look()
    assert stock.looks == 1
    intake._handle(6, batch)  # type: ignore[arg-type]
    intake.look()
    assert stock.looks == 1
    intake._handle(7, batch)  # type: ignore[arg-type]
    intake.look()
    assert stock.looks == 2


def test_a_look_that_finds_nothing_is_followed_by_another(stock: Any) -> None:
    intake = Intake(None, 1.0)  # type: ignore[arg-type]
    for _ in range(3):
        intake.look()
    assert stock.looks == 3
    assert stock.read == []


def test_files_that_an_older_look_left_are_no_reason_to_wait(stock: Any) -> None:
    intake = Intake(None, 1.0)  # type: ignore[arg-type]
    intake._handle(5, None)  # type: ignore[arg-type]
    stock.next = 6
    intake.look()
    intake._handle(6, None)  # type: ignore[arg-type]
    intake.look()
    assert stock.looks == 2
