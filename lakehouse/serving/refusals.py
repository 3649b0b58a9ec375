"""Why a request gets no prediction: a status of HTTP, a sentence, and the reasons of each row."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus


class RefusedRequestError(Exception):
    """A request that gets no prediction.

    Attributes:
        status: of HTTP.
        message: one sentence; it holds no value of a row.
        rows: by the row's place in the request, every rule that it breaks, as quarantine has them.
    """

    def __init__(
        self,
        message: str,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        rows: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.rows = message, status, dict(rows or {})
