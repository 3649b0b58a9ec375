"""The job: what it refuses before it listens, how it answers, and how it ends."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from lakehouse.errors import ConfigurationError, StoreError
from lakehouse.serving.serve import ServeOptions, listener_at, opened_endpoint, serve
from lakehouse.settings import EnvironmentSettings
from tests.support.processes import environment_of
from tests.support.served import MODEL, READING, Works, fitted


def test_a_root_without_a_lakehouse_is_told_and_nothing_is_made_there(tmp_path):
    environment = EnvironmentSettings(root=str(tmp_path))
    with (
        pytest.raises(StoreError, match="there is no table"),
        opened_endpoint(str(tmp_path), MODEL, environment, ServeOptions(), {}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_landing_folder_that_is_no_folder_of_this_machine_is_a_setting_to_change(tmp_path):
    Works(tmp_path)
    environment = EnvironmentSettings(root=str(tmp_path), landing="s3://bucket/landing")
    with (
        pytest.raises(ConfigurationError, match="landing"),
        opened_endpoint(str(tmp_path), MODEL, environment, ServeOptions(), {}),
    ):
        pass


def test_an_address_that_others_reach_is_refused_without_a_token(tmp_path):
    Works(tmp_path)
    environment = EnvironmentSettings(root=str(tmp_path))
    with pytest.raises(ConfigurationError, match="need a token"):
        serve(str(tmp_path), MODEL, environment, ServeOptions(host="0.0.0.0"), {})


def test_an_answer_does_not_wait_for_the_acknowledgement_of_its_head():
    """Nagle's algorithm holds the body of an answer back until then, for 40 ms."""
    without_delay = asyncio.Queue()

    async def accepted(_, writer):
        connection = writer.get_extra_info("socket")
        await without_delay.put(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def connected():
        listener = listener_at(ServeOptions(port=0))
        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await without_delay.get()

    assert asyncio.run(connected())


@pytest.mark.slow
def test_a_job_that_is_told_to_end_lands_what_it_has_answered(tmp_path):
    works = Works(tmp_path / "works")
    works.promote(1, fitted())
    command = [sys.executable, "-m", "jobs.serve", "--root", str(works.root), "--port", "0"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment_of())
    try:
        address = job.stdout.readline().split()[-1]
        body = json.dumps({"dataframe_records": [READING]}).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{address}/invocations", body, headers)
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)["predictions"] == [1]
        job.send_signal(signal.SIGTERM)
        assert job.wait() == 130
    finally:
        job.kill()
    (line,) = works.landed()
    assert line["pid"] == READING["pid"]
