"""Who may ask: a bearer token for predictions, and one for what an administrator does."""

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import ConfigurationError
from lakehouse.loopback import HOST

TOKEN_VARIABLE, ADMIN_VARIABLE = "LAKEHOUSE_SERVE_TOKEN", "LAKEHOUSE_SERVE_ADMIN_TOKEN"
TOKEN_FILE, ADMIN_FILE = "serve_token", "serve_admin_token"
_LEAST_LENGTH = 16
_BEARER = "bearer "


@dataclass(frozen=True)
class Tokens:
    """The digests of both tokens; the tokens themselves are not kept.

    Attributes:
        user: SHA-256 of what predictions ask for; None where they ask for none.
        admin: the same of `POST /retrain`; it is refused without one.
    """

    user: bytes | None = None
    admin: bytes | None = None

    def lets_in(self, authorization: str) -> bool:
        """Whether a header `Authorization` may ask for predictions; an administrator may, too."""
        if self.user is None:
            return True
        return _is_token(authorization, self.user) or self.lets_administer(authorization)

    def lets_administer(self, authorization: str) -> bool:
        """Whether a header `Authorization` is an administrator's."""
        return self.admin is not None and _is_token(authorization, self.admin)


def tokens_of(root: str, environment: Mapping[str, str]) -> Tokens:
    """The tokens of the environment's variables, else of files under `<root>/_system`.

    Raises:
        ConfigurationError: one is short, or others may read its file.
    """
    folder = Path(root) / "_system"
    return Tokens(
        _digest(environment, TOKEN_VARIABLE, folder / TOKEN_FILE),
        _digest(environment, ADMIN_VARIABLE, folder / ADMIN_FILE),
    )


def check_host(host: str, tokens: Tokens) -> None:
    """Check that only this machine reaches an endpoint without a token.

    Raises:
        ConfigurationError: others would.
    """
    if host not in (HOST, "localhost", "::1") and tokens.user is None:
        raise ConfigurationError(
            f"--host {host}: others reach it, so predictions need a token; set {TOKEN_VARIABLE}, "
            f"or write one to <root>/_system/{TOKEN_FILE}"
        )


def _digest(environment: Mapping[str, str], variable: str, path: Path) -> bytes | None:
    token, place = environment.get(variable), variable
    if not token:
        if not path.exists():
            return None
        state = path.stat()
        if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
            raise ConfigurationError(
                f"{path}: others may have read its token; write another one, with mode 600"
            )
        token, place = path.read_text(encoding="utf-8").strip(), str(path)
    if len(token) < _LEAST_LENGTH:
        raise ConfigurationError(f"{place}: write a token of {_LEAST_LENGTH} characters or more")
    return hashlib.sha256(token.encode()).digest()


def _is_token(authorization: str, digest: bytes) -> bool:
    if not authorization.lower().startswith(_BEARER):
        return False
    token = authorization[len(_BEARER) :].strip()
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), digest)
