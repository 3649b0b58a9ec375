"""Requests for a training, as files that are left, read, and set aside."""

import json
import logging
import os

import pytest

from lakehouse.retraining.policy.triggers import TrainingRequest
from lakehouse.retraining.requests import LONGEST, leave_request, requests_at, set_aside
from lakehouse.storage.folders import Folder


def test_a_request_is_read_as_it_was_left_on_one_line(tmp_path):
    landing = str(tmp_path)
    request_id = leave_request(landing, " shift\tlead", "the furnace\nwas relined")
    assert requests_at(landing) == [
        TrainingRequest(request_id, "shift lead", "the furnace was relined")
    ]


def test_without_a_folder_there_is_no_request(tmp_path):
    assert requests_at(str(tmp_path)) == []


@pytest.mark.parametrize(("who", "reason"), [("", "x"), ("x", " \n"), ("x", "x" * (LONGEST + 1))])
def test_an_empty_or_an_endless_request_is_not_left(tmp_path, who, reason):
    with pytest.raises(ValueError, match="who and reason"):
        leave_request(str(tmp_path), who, reason)
    assert requests_at(str(tmp_path)) == []


def test_a_request_that_is_set_aside_is_kept_and_read_no_more(tmp_path):
    landing = str(tmp_path)
    first, second = (leave_request(landing, "x", reason) for reason in ("first", "second"))
    requests = {request.id: request for request in requests_at(landing)}
    set_aside(landing, [requests[first]])
    assert [request.id for request in requests_at(landing)] == [second]
    kept = tmp_path / "_requests" / "answered" / f"{first}.json"
    assert json.loads(kept.read_text())["reason"] == "first"


def test_requests_that_were_answered_are_not_listed_again(tmp_path, monkeypatch):
    landing = str(tmp_path)
    leave_request(landing, "x", "first")
    set_aside(landing, requests_at(landing))
    left, listed = leave_request(landing, "x", "second"), []
    real = os.scandir

    def scanned(folder):
        listed.append(str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scanned)
    assert [request.id for request in requests_at(landing)] == [left]
    assert listed == [f"{landing}/_requests"]
    files = Folder(f"{landing}/_requests")
    assert len(list(files.files())) == 2
    remote = Folder(f"file://{landing}/_requests")  # as an object store is listed
    assert [file.name for file in remote.files(recursive=False)] == [f"{left}.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"who": 1, "reason": 2}', '"x"'])
def test_a_file_that_is_no_request_is_told_and_stops_no_other(tmp_path, caplog, content):
    landing = str(tmp_path)
    request_id = leave_request(landing, "x", "y")
    (tmp_path / "_requests" / f"{'0' * 16}.json").write_text(content)
    (tmp_path / "_requests" / "notes.txt").write_text("x")
    with caplog.at_level(logging.WARNING):
        assert [request.id for request in requests_at(landing)] == [request_id]
    assert "is no request" in caplog.text
