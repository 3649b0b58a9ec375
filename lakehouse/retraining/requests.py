"""Requests for a training: files that anybody with a right to land lines may leave.

A request is `<landing>/_requests/<id>.json`, an object with `who` and `reason`. The next night
decides on it; once a decision on record names it, its file moves to `_requests/answered`. A night
that is cut off between the two finds it on record, and asks for no second training.
"""

import json
import logging
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from lakehouse.retraining.policy.triggers import TrainingRequest
from lakehouse.storage.folders import Folder

REQUESTS, ANSWERED = "_requests", "answered"
LONGEST = 500
"""Characters of a reason or a name."""
_NAME = re.compile(r"([0-9a-f]{16})\.json")
_LOG = logging.getLogger(__name__)


def leave_request(landing: str, who: str, reason: str) -> str:
    """Leave a request for a training; return its id.

    Args:
        landing: the landing folder.
        who: asks.
        reason: in words; one line.

    Raises:
        ValueError: one of them is empty, or longer than `LONGEST`.
        OSError: the folder cannot be written.
    """
    texts = {"who": _on_one_line(who), "reason": _on_one_line(reason)}
    if not all(0 < len(text) <= LONGEST for text in texts.values()):
        raise ValueError(f"write who and reason, each of 1 to {LONGEST} characters")
    request_id = secrets.token_hex(8)
    _write(Folder(landing).within(REQUESTS), f"{request_id}.json", json.dumps(texts).encode())
    return request_id


def requests_at(landing: str) -> list[TrainingRequest]:
    """The requests that were left and not set aside, in the order in which they came.

    What cannot be read as a request is told in a warning and left where it is.
    """
    folder = Folder(landing).within(REQUESTS)
    # Those that are answered lie in a folder of it, and only ever become more.
    left = folder.files(recursive=False)
    files = [(file.modified_at, file.name) for file in left if _NAME.fullmatch(file.name)]
    read = (_request(folder, name) for _, name in sorted(files))
    return [request for request in read if request]


def set_aside(landing: str, requests: Iterable[TrainingRequest]) -> None:
    """Move the files of requests that a decision has answered."""
    folder = Folder(landing).within(REQUESTS)
    for request in requests:
        name = f"{request.id}.json"
        with folder.open(name) as file:
            content = file.read()
        _write(folder.within(ANSWERED), name, content)
        with suppress(FileNotFoundError):
            folder.delete(name)


def _request(folder: Folder, name: str) -> TrainingRequest | None:
    try:
        with folder.open(name) as file:
            document: Any = json.loads(file.read())
        texts = [_on_one_line(document[part])[:LONGEST] for part in ("who", "reason")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("%s/%s is no request (%s); remove it", REQUESTS, name, type(error).__name__)
        return None
    return TrainingRequest(name.removesuffix(".json"), *texts)


def _write(folder: Folder, name: str, content: bytes) -> None:
    """Write a file; on a disk by a rename, since somebody may read it at once."""
    folder.make()
    with folder.create(f".{name}" if folder.is_local else name) as file:
        file.write(content)
    if folder.is_local:
        os.replace(folder.path(f".{name}"), folder.path(name))  # noqa: PTH105 - paths are bytes


def _on_one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
