"""The HTTP application: routes to handlers, tokens, limits, and errors in both protocols' forms."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as METRICS_TYPE
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from lakehouse.errors import words_of
from lakehouse.retraining.requests import leave_request
from lakehouse.serving.arms import Arms
from lakehouse.serving.bodies import LARGEST_BODY, document_of, mlflow_rows, tensors_of
from lakehouse.serving.openapi import as_page, openapi_of
from lakehouse.serving.predicting import Predictor
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.serving.replies import as_predictions, as_tensors, tensors, versions_of
from lakehouse.serving.tokens import Tokens

_LOG = logging.getLogger(__name__)
_JSON = "application/json"
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Endpoint:
    """The handlers of one model's endpoint.

    Attributes:
        predictor: answers.
        tokens: who may ask.
        landing: where requests for a training are left.
        release: of the code.
        hosts: names that a request may give this machine; empty for all.
    """

    predictor: Predictor
    tokens: Tokens
    landing: str
    release: str
    hosts: frozenset[str] = frozenset()

    def application(self) -> Starlette:
        """The routes; those of predictions and of what is known of a version ask for the token."""
        name = self.predictor.rules.model.name
        model = f"/v2/models/{name}"
        version = model + "/versions/{version}"
        routes = [
            self._route("/invocations", self._invocations, "POST", lets_in=self.tokens.lets_in),
            self._route("/retrain", self._retrain, "POST", lets_in=self.tokens.lets_administer),
            *(self._route(path, self._ping) for path in ("/ping", "/health")),
            self._route("/version", self._version),
            self._route("/metrics", self._metrics),
            self._route("/openapi.json", self._openapi),
            self._route("/docs", self._docs),
            self._route("/v2", self._server),
            self._route("/v2/health/live", self._live),
            self._route("/v2/health/ready", self._ready),
        ]
        for path in (model, version):
            routes += [
                self._route(path, self._metadata, lets_in=self.tokens.lets_in),
                self._route(f"{path}/ready", self._ready),
                self._route(f"{path}/infer", self._infer, "POST", lets_in=self.tokens.lets_in),
            ]
        return Starlette(routes=routes)

    def _route(
        self,
        path: str,
        handler: Handler,
        method: str = "GET",
        lets_in: Callable[[str], bool] = lambda _: True,
    ) -> Route:
        async def handle(request: Request) -> Response:
            response = await self._answer(request, handler, lets_in)
            self.predictor.measures.request(path, response.status_code)
            return response

        return Route(path, handle, methods=[method])

    async def _answer(
        self, request: Request, handler: Handler, lets_in: Callable[[str], bool]
    ) -> Response:
        try:
            self._check_caller(request, lets_in)
            return await handler(request)
        except RefusedRequestError as error:
            return _refused(error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # it costs one request; its words may hold a row's values
            _LOG.error("%s: %s", type(error).__name__, words_of(error))
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return _refused(RefusedRequestError(f"unforeseen: {type(error).__name__}", status))

    def _check_caller(self, request: Request, lets_in: Callable[[str], bool]) -> None:
        headers = request.headers
        # A site that gives its own name to 127.0.0.1 must not ask by a browser.
        if self.hosts and _host_of(headers.get("host", "")) not in self.hosts:
            raise RefusedRequestError("name the host 127.0.0.1 or localhost", HTTPStatus.FORBIDDEN)
        if not lets_in(headers.get("authorization", "")):
            raise RefusedRequestError(
                "send `Authorization: Bearer TOKEN` with the token of this endpoint",
                HTTPStatus.UNAUTHORIZED,
            )

    async def _invocations(self, request: Request) -> Response:
        features = self.predictor.rules.model.predictions.features
        rows = mlflow_rows(await _document(request), features)
        predicted = await self.predictor.predict(rows)
        is_classification = not self.predictor.rules.model.is_regression
        document = as_predictions(predicted.answers, is_classification)
        headers = {"X-Model-Version": ", ".join(versions_of(predicted.answers))}
        return _json({**document, "request_id": predicted.request_id}, headers=headers)

    async def _infer(self, request: Request) -> Response:
        model = self.predictor.rules.model
        asked = tensors_of(await _document(request), model.predictions.features)
        predicted = await self.predictor.predict(asked.rows, request.path_params.get("version"))
        answers, versions = predicted.answers, predicted.versions
        return _json(as_tensors(answers, model, versions, asked.outputs, asked.id))

    async def _metadata(self, request: Request) -> Response:
        model, champions = self.predictor.rules.model, self.predictor.champions
        arms, refusal = champions.arms, champions.refusal
        if arms is None:
            raise RefusedRequestError(
                refusal.reason if refusal else "no version", HTTPStatus.SERVICE_UNAVAILABLE
            )
        self._check_version(request)
        refused = champions.challenger_refusal
        parameters = {
            "sha256": arms.champion.sha256,
            "refused": refusal and vars(refusal),
            "rollout": self._rollout(arms),
            "challenger_refused": refused and vars(refused),
        }
        document = {
            "name": model.name,
            "versions": [arms.champion.number],
            "platform": "sklearn",
            **tensors(model, arms.versions),
            "parameters": parameters,
        }
        return _json(document)

    def _rollout(self, arms: Arms | None) -> dict[str, Any] | None:
        """The rollout that gives a challenger keys; None without one."""
        rollout = arms.rollout if arms else None
        if rollout is None:
            return None
        return {
            "id": rollout.rollout_id,
            "challenger": rollout.challenger,
            "share": rollout.share,
            "rows_left_to_champion": self.predictor.measures.challenger_errors(rollout.challenger),
        }

    def _check_version(self, request: Request) -> None:
        """Refuse a request for a version that does not answer."""
        wanted, current = request.path_params.get("version"), self.predictor.champions.current
        if wanted is not None and (current is None or wanted != current.number):
            raise RefusedRequestError("that version does not answer here", HTTPStatus.NOT_FOUND)

    async def _retrain(self, request: Request) -> Response:
        document = await _document(request)
        who, reason = document.get("who", "the endpoint"), document.get("reason")
        if not isinstance(who, str) or not isinstance(reason, str):
            raise RefusedRequestError("reason: write why, as text; who: who asks")
        try:
            request_id = leave_request(self.landing, who, reason)
        except ValueError as error:
            raise RefusedRequestError(str(error)) from None
        return _json({"request": request_id}, HTTPStatus.ACCEPTED)

    async def _ready(self, request: Request) -> Response:
        champions = self.predictor.champions
        self._check_version(request)
        arms, refusal = champions.arms, champions.refusal
        document = {
            "ready": arms is not None,
            "version": arms and arms.champion.number,
            # Why is told to who has the token: /v2/models/NAME.
            "refused": refusal is not None,
            "refused_version": refusal and refusal.version,
            "rollout": self._rollout(arms),
            "challenger_refused": champions.challenger_refusal is not None,
        }
        is_ready = arms is not None
        return _json(document, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ping(self, _: Request) -> Response:
        is_ready = self.predictor.champions.current is not None
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return PlainTextResponse("\n", status)

    async def _version(self, _: Request) -> Response:
        return PlainTextResponse(self.release)

    async def _server(self, _: Request) -> Response:
        return _json({"name": "lakehouse", "version": self.release, "extensions": []})

    async def _metrics(self, _: Request) -> Response:
        return Response(self.predictor.measures.exposition(), media_type=METRICS_TYPE)

    async def _openapi(self, _: Request) -> Response:
        return _json(openapi_of(self.predictor.rules.model, self.release))

    async def _docs(self, _: Request) -> Response:
        return HTMLResponse(as_page(openapi_of(self.predictor.rules.model, self.release)))


async def _document(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body, if it is of the right type and not too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise RefusedRequestError(f"Content-Type: send {_JSON}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise RefusedRequestError(
                f"the body is larger than {LARGEST_BODY} bytes; send it in parts",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
    return document_of(b"".join(parts))


def _host_of(header: str) -> str:
    """The name in a header `Host`, without its port."""
    return header.rpartition("]")[0].lstrip("[") or header.partition(":")[0]


def hosts_of_loopback(is_open: bool) -> Iterable[str]:
    """Names that a request may give this machine where no token is asked for; else any."""
    return ("127.0.0.1", "localhost", "::1") if is_open else ()


def _refused(error: RefusedRequestError) -> Response:
    """An error as MLflow's server (`error_code`, `message`) and V2 (`error`) have it."""
    document: dict[str, Any] = {
        "error": error.message,
        "error_code": error.status.name,
        "message": error.message,
    }
    if error.rows:
        document["rows"] = [
            {"row": place, "reasons": list(reasons)} for place, reasons in error.rows.items()
        ]
    is_asked = error.status is HTTPStatus.UNAUTHORIZED
    return _json(document, error.status, {"WWW-Authenticate": "Bearer"} if is_asked else None)


def _json(
    document: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    return Response(_encode(document), status, headers, media_type=_JSON)
