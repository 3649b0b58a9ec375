"""A request's rows to answers on record: rules, version, answers, and the lines that land."""

import asyncio
import datetime as dt
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from lakehouse.serving.answers import Answer, ServedVersion
from lakehouse.serving.arms import Arms
from lakehouse.serving.bodies import Row
from lakehouse.serving.champions import Champions
from lakehouse.serving.earlier_rows import EarlierRows
from lakehouse.serving.measures import Measures
from lakehouse.serving.refusals import RefusedRequestError
from lakehouse.serving.rows import RowRules, ServedRow
from lakehouse.serving.served_lines import ServedLines

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predicted:
    """The answers to a request.

    Attributes:
        versions: that could answer it.
        answers: in the order of the rows.
        request_id: that the landed lines name.
    """

    versions: Sequence[ServedVersion]
    answers: Sequence[Answer]
    request_id: str


@dataclass(frozen=True)
class Predictor:
    """What answers requests."""

    rules: RowRules
    champions: Champions
    lines: ServedLines
    measures: Measures
    earlier: EarlierRows | None = None
    """Of a model with features of earlier rows."""

    async def predict(self, rows: Sequence[Row], version: str | None = None) -> Predicted:
        """Answer the rows, each by the version of its arm, once what lands of them is written.

        Args:
            rows: as they were given.
            version: the champion's number, where the champion is to answer all of them.

        Raises:
            RefusedRequestError: a row breaks a rule, no version answers yet, another version than
                the champion is asked for, or an answer cannot be put on record.
        """
        began, asked_at = time.perf_counter(), dt.datetime.now(dt.UTC)
        try:
            read = self.rules.read(rows, asked_at)
        except RefusedRequestError as error:
            self.measures.refused(len(error.rows))
            raise
        if self.earlier is None:
            return await self._answered(read, version, asked_at, began)
        async with self.earlier.turn:
            filled = self.earlier.filled(read, asked_at)
            try:
                return await self._answered(filled, version, asked_at, began)
            except BaseException:
                self.earlier.take_back()
                raise

    async def _answered(
        self, read: Sequence[ServedRow], version: str | None, asked_at: dt.datetime, began: float
    ) -> Predicted:
        """The answers to rows that break no rule, once what lands of them is written."""
        arms, values = self._arms(version), [row.values for row in read]
        keys = [row.get(self.rules.model.key) for row in values]
        if arms.needs_a_frame(len(read)):
            # Milliseconds: other requests go on meanwhile.
            answered = await asyncio.to_thread(arms.answers, values, keys)
        else:
            answered = arms.answers(values, keys)
        if arms.rollout is not None:
            self.measures.challenger_failed(arms.rollout.challenger, answered.errors)
        predicted = Predicted(arms.versions, answered.answers, secrets.token_hex(8))
        landed = self._land(read, predicted, asked_at)
        seconds = time.perf_counter() - began
        self.measures.answered(predicted.answers, landed, seconds)
        return predicted

    def _arms(self, version: str | None) -> Arms:
        """The versions of a request, which it keeps to its end."""
        arms = self.champions.arms
        if arms is None:
            _LOG.debug("no version answers: %s", self.champions.refusal)
            raise RefusedRequestError(
                "no version answers yet; see /v2/health/ready", HTTPStatus.SERVICE_UNAVAILABLE
            )
        if version is None:
            return arms
        if version != arms.champion.number:
            raise RefusedRequestError("that version does not answer here", HTTPStatus.NOT_FOUND)
        return Arms(arms.champion)

    def _land(self, rows: Sequence[ServedRow], predicted: Predicted, at: dt.datetime) -> int:
        """Write the readings among the rows with their answers; return how many they are."""
        lines = []
        for place, (row, answer) in enumerate(zip(rows, predicted.answers, strict=True)):
            if not row.is_reading:
                continue
            told = {
                "request": f"{predicted.request_id}-{place}",
                "at": at.isoformat(),
                "version": answer.version,
                "prediction": answer.prediction,
                "score": answer.score,
            }
            if self.earlier is not None:
                told["history"] = {name: row.values.get(name) for name in self.earlier.features}
            lines.append(self.rules.line(row, told))
        if not lines:
            return 0
        try:
            self.lines.append(b"".join(lines), len(lines))
        except OSError as error:
            _LOG.warning("served lines cannot be written: %s", error.strerror)
            raise RefusedRequestError(
                "the answer cannot be put on record now; ask again later",
                HTTPStatus.SERVICE_UNAVAILABLE,
            ) from error
        return len(lines)
