"""The endpoint over HTTP, by a client written against MLflow's and the V2 protocol's documents."""

import json
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.retraining.requests import requests_at
from lakehouse.serving.bodies import LARGEST_BODY
from lakehouse.serving.predicting import Predictor
from lakehouse.serving.tokens import ADMIN_VARIABLE, TOKEN_VARIABLE
from tests.support.served import FEATURES, READING, Works, fitted

TOKEN, ADMIN = "a-token-of-some-length", "an-admin-token-of-some-length"
NAMES = list(FEATURES)
VALUES = list(FEATURES.values())
FORBIDDEN = [str(value) for value in (352.4, 10.1, 352.41, "31337")]


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    works = Works(tmp_path_factory.mktemp("works"))
    works.promote(1, fitted())
    return works


@pytest.fixture(scope="module")
def client(works):
    with works.client() as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": [VALUES]}},
        {"dataframe_records": [FEATURES]},
        {"instances": [VALUES]},
        {"inputs": {name: [value] for name, value in FEATURES.items()}},
    ],
    ids=lambda body: next(iter(body)),
)
def test_each_of_mlflows_bodies_is_answered_with_predictions(client, body):
    reply = client.post("/invocations", body)
    assert (reply.status, reply.document["predictions"]) == (200, [1])
    assert reply.document["model_version"] == reply.headers["x-model-version"] == "1"
    (probability,) = reply.document["probability"]
    assert probability["1"] == reply.document["score"][0]


def test_mlflows_pings_answer(client):
    for path in ("/ping", "/health"):
        assert client.get(path).status == 200
    assert client.get("/version").status == 200


def test_the_content_type_may_name_its_charset_and_no_other_type_is_taken(client):
    body = {"dataframe_records": [FEATURES]}
    json_type = "application/json; charset=utf-8"
    assert client.post("/invocations", body, Content_Type=json_type).status == 200
    for kind in ("text/csv", "text/plain", "application/x-www-form-urlencoded"):
        assert client.post("/invocations", body, Content_Type=kind).status == 415


def test_an_error_has_the_words_of_both_protocols_and_every_reason(client):
    rows = [FEATURES, {**READING, "temp": -5, "pid": "31337"}]
    reply = client.post("/invocations", {"dataframe_records": rows})
    assert reply.status == 400
    document = reply.document
    assert document["error_code"] == "BAD_REQUEST"
    assert document["error"] == document["message"]
    reasons = ["pid: wrong type, long expected", "temp: out of range"]
    assert document["rows"] == [{"row": 1, "reasons": reasons}]
    assert "31337" not in reply.content.decode()


def test_metadata_of_v2_names_tensors_that_infer_takes_and_gives(client):
    metadata = client.get("/v2/models/glassware").document
    assert metadata["name"] == "glassware"
    assert metadata["versions"] == ["1"]
    inputs = [
        {**tensor, "shape": [2], "data": [FEATURES[tensor["name"]]] * 2}
        for tensor in metadata["inputs"]
    ]
    for path in ("/v2/models/glassware/infer", "/v2/models/glassware/versions/1/infer"):
        reply = client.post(path, {"id": "a1", "inputs": inputs})
        assert reply.status == 200
        document = reply.document
        assert (document["id"], document["model_name"], document["model_version"]) == (
            "a1",
            "glassware",
            "1",
        )
        told = [(each["name"], each["datatype"]) for each in metadata["outputs"]]
        assert [(each["name"], each["datatype"]) for each in document["outputs"]] == told
        for output in document["outputs"]:
            size = 1
            for length in output["shape"]:
                size *= length
            assert len(output["data"]) == size
        assert document["outputs"][0]["data"] == [1, 1]


def test_v2_gives_the_outputs_that_are_asked_for(client):
    inputs = [{"name": "all", "shape": [1, 3], "datatype": "FP64", "data": VALUES}]
    asked = {"inputs": inputs, "outputs": [{"name": "score"}]}
    reply = client.post("/v2/models/glassware/infer", asked)
    assert [output["name"] for output in reply.document["outputs"]] == ["score"]
    asked["outputs"] = [{"name": "other"}]
    assert client.post("/v2/models/glassware/infer", asked).status == 400


def test_health_of_v2(client):
    assert client.get("/v2/health/live").status == 200
    assert client.get("/v2/health/ready").document["ready"] is True
    assert client.get("/v2/models/glassware/ready").status == 200
    assert client.get("/v2/models/glassware/versions/9/ready").status == 404
    assert client.get("/v2/models/other").status == 404


def test_openapi_names_the_routes_that_answer_and_its_examples_are_taken(client):
    document = client.get("/openapi.json").document
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = [each["value"] for each in body.get("examples", {}).values()]
            if method == "get":
                assert client.get(path).status == 200
            for example in examples:
                assert client.post(path, example).status == (401 if path == "/retrain" else 200)
    answer = document["paths"]["/invocations"]["post"]["responses"]["200"]
    fields = answer["content"]["application/json"]["schema"]["properties"]
    reply = client.post("/invocations", {"dataframe_records": [FEATURES]})
    assert set(fields) == set(reply.document)
    assert {name.lower() for name in answer["headers"]} <= set(reply.headers)
    page = client.get("/docs").content.decode()
    assert "<script" not in page
    assert all(path in page for path in document["paths"])


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(client, more, status):
    body = json.dumps({"dataframe_records": [FEATURES]}).encode()
    padded = body + b" " * (LARGEST_BODY - len(body) + more)
    assert client.post("/invocations", padded).status == status


def test_without_a_token_a_page_of_another_site_is_not_answered(client):
    body = {"dataframe_records": [FEATURES]}
    assert client.post("/invocations", body, Host="evil.example:80").status == 403
    assert client.post("/invocations", body, Host="localhost").status == 200


def test_a_token_is_asked_for_where_one_is_set(works):
    variables = {TOKEN_VARIABLE: TOKEN, ADMIN_VARIABLE: ADMIN}
    body = {"dataframe_records": [FEATURES]}
    with works.client(variables) as client:
        for path in ("/invocations", "/v2/models/glassware/infer"):
            reply = client.post(path, body)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert client.post("/invocations", body, Authorization=f"Bearer {TOKEN}").status == 200
        assert client.get("/v2/models/glassware").status == 401
        for path in ("/ping", "/metrics", "/v2/health/ready", "/openapi.json"):
            assert client.get(path).status == 200
        assert (
            client.post("/retrain", {"reason": "x"}, Authorization=f"Bearer {TOKEN}").status == 401
        )


def test_an_administrator_leaves_a_request_for_a_training(works):
    with works.client({ADMIN_VARIABLE: ADMIN}) as client:
        asked = {"reason": "the furnace\nwas relined", "who": "shift lead"}
        headers = {"Authorization": f"Bearer {ADMIN}"}
        reply = client.post("/retrain", asked, **headers)
        assert reply.status == 202
        for wrong in ({}, {"reason": ""}, {"reason": 7}, {"reason": "x" * 501}):
            assert client.post("/retrain", wrong, **headers).status == 400
    (request,) = requests_at(str(works.landing))
    assert request.id == reply.document["request"]
    assert (request.who, request.reason) == ("shift lead", "the furnace was relined")


def test_a_reading_is_on_record_when_it_is_answered_and_a_question_is_not(tmp_path):
    works = Works(tmp_path)
    works.promote(1, fitted())
    with works.client() as client:
        reply = client.post("/invocations", {"dataframe_records": [READING, FEATURES]})
        (part,) = (works.landing / "_served").glob("*.part")
        (line,) = map(json.loads, part.read_text().splitlines())
    assert works.landed() == [line]
    answer = line.pop("_served")
    assert line == READING
    assert answer["request"] == f"{reply.document['request_id']}-0"
    assert (answer["version"], answer["prediction"], answer["score"]) == (
        "1",
        reply.document["predictions"][0],
        reply.document["score"][0],
    )


def test_what_cannot_be_put_on_record_is_not_answered(tmp_path, monkeypatch):
    works = Works(tmp_path)
    works.promote(1, fitted())
    with works.client() as client:
        lines = client.endpoint.predictor.lines

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(type(lines), "append", full)
        assert client.post("/invocations", {"dataframe_records": [READING]}).status == 503
        assert client.post("/invocations", {"dataframe_records": [FEATURES]}).status == 200


def test_requests_are_answered_while_another_version_takes_over(tmp_path):
    works, seen, ended = Works(tmp_path), [], threading.Event()
    works.promote(1, fitted())
    with works.client() as client:

        def ask():
            while not ended.is_set():
                reply = client.post("/invocations", {"dataframe_records": [FEATURES]})
                document = reply.document
                seen.append((reply.status, document["model_version"], *document["predictions"]))

        asking = threading.Thread(target=ask)
        asking.start()
        works.promote(2, fitted(threshold=351))
        client.until("/v2/health/ready", lambda reply: reply.document["version"] == "2")
        client.post("/invocations", {"dataframe_records": [FEATURES]})
        threading.Event().wait(0.2)
        ended.set()
        asking.join()
    assert set(seen) == {(200, "1", 1), (200, "2", 0)}


def test_a_refused_version_is_told_of_and_the_one_before_answers(tmp_path):
    works = Works(tmp_path)
    works.promote(1, fitted())
    with works.client() as client:
        works.promote(2, fitted(threshold=351), model_sha256="0" * 64)
        reply = client.until("/v2/health/ready", lambda reply: reply.document["refused"])
        assert (reply.document["ready"], reply.document["version"]) == (True, "1")
        assert reply.document["refused_version"] == "2"
        refused = client.get("/v2/models/glassware").document["parameters"]["refused"]
        assert "SHA-256" in refused["reason"]
        assert client.post("/invocations", {"dataframe_records": [FEATURES]}).status == 200
        assert figures(client)["lakehouse_serve_refused"] == 1


def figures(client):
    text = client.get("/metrics").content.decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_before_a_first_version_the_endpoint_lives_and_is_not_ready(tmp_path):
    with Works(tmp_path).client() as client:
        assert client.get("/v2/health/live").status == 200
        for path in ("/ping", "/v2/health/ready", "/v2/models/glassware"):
            assert client.get(path).status == 503
        assert client.post("/invocations", {"dataframe_records": [FEATURES]}).status == 503


def test_metrics_count_requests_rows_and_the_version(tmp_path):
    works = Works(tmp_path)
    works.promote(1, fitted())
    with works.client() as client:
        client.post("/invocations", {"dataframe_records": [READING, FEATURES]})
        client.post("/invocations", {"dataframe_records": [{}]})
        text = client.get("/metrics").content.decode()
    told = {
        (sample.name, *sorted(set(sample.labels.values()) - {"glassware"})): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert told["lakehouse_serve_rows_total", "landed"] == 1
    assert told["lakehouse_serve_rows_total", "answered"] == 1
    assert told["lakehouse_serve_rows_total", "refused"] == 1
    assert told["lakehouse_serve_requests_total", "/invocations", "200"] == 1
    assert told["lakehouse_serve_requests_total", "/invocations", "400"] == 1
    assert told["lakehouse_serve_request_seconds_count",] == 1
    assert told["lakehouse_serve_written_lines",] == 1


def test_no_value_of_a_row_and_no_token_stands_in_a_log(tmp_path, caplog, capfd, monkeypatch):
    works = Works(tmp_path)
    works.promote(1, fitted())
    row = {**READING, "pid": 31337, "temp": 352.41}
    with works.client({TOKEN_VARIABLE: TOKEN}) as client, caplog.at_level(0):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        client.post("/invocations", {"dataframe_records": [row]}, **headers)
        client.post("/invocations", {"dataframe_records": [{**row, "pressure": 352.41}]}, **headers)
        client.post("/invocations", b'{"dataframe_records": 352.41', **headers)
        client.post("/invocations", {"dataframe_records": [row]}, Authorization="Bearer 31337")

        async def broken(*_):
            raise ValueError("could not convert string to float: '352.41' for 31337")

        monkeypatch.setattr(Predictor, "predict", broken)
        reply = client.post("/invocations", {"dataframe_records": [row]}, **headers)
        assert reply.status == 500
    written = "".join(capfd.readouterr()) + caplog.text + reply.content.decode()
    assert "ValueError" in written
    assert not [value for value in (*FORBIDDEN, TOKEN) if value in written]
