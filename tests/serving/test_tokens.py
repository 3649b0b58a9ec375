"""Who may ask, and who may not."""

import os

import pytest

from lakehouse.errors import ConfigurationError
from lakehouse.serving.tokens import ADMIN_VARIABLE, TOKEN_VARIABLE, check_host, tokens_of

TOKEN, ADMIN = "a-token-of-some-length", "an-admin's-token-of-some-length"


def test_without_a_token_everybody_of_this_machine_may_ask_but_not_administer(tmp_path):
    tokens = tokens_of(str(tmp_path), {})
    assert tokens.lets_in("")
    assert not tokens.lets_administer("")
    assert not tokens.lets_administer("Bearer ")


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_token_lets_in_who_sends_it(tmp_path, place):
    variables = {TOKEN_VARIABLE: TOKEN, ADMIN_VARIABLE: ADMIN}
    if place == "file":
        folder = tmp_path / "_system"
        folder.mkdir()
        for name, token in (("serve_token", TOKEN), ("serve_admin_token", ADMIN)):
            (folder / name).write_text(f"{token}\n")
            (folder / name).chmod(0o600)
        variables = {}
    tokens = tokens_of(str(tmp_path), variables)
    assert tokens.lets_in(f"Bearer {TOKEN}")
    assert tokens.lets_in(f"bearer {ADMIN}")
    assert tokens.lets_administer(f"Bearer {ADMIN}")
    assert not tokens.lets_administer(f"Bearer {TOKEN}")
    # Another scheme is as long as ours.
    for wrong in (
        "",
        TOKEN,
        f"Basic {TOKEN}",
        f"Digest {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer é",
        "Bearer",
    ):
        assert not tokens.lets_in(wrong)


def test_a_token_that_others_may_have_read_is_refused(tmp_path):
    path = tmp_path / "_system" / "serve_token"
    path.parent.mkdir()
    path.write_text(TOKEN)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may have read"):
        tokens_of(str(tmp_path), {})


def test_a_token_in_a_file_of_another_user_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "_system" / "serve_token"
    path.parent.mkdir()
    path.write_text(TOKEN)
    path.chmod(0o600)
    another = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: another)
    with pytest.raises(ConfigurationError, match="others may have read"):
        tokens_of(str(tmp_path), {})


def test_a_short_token_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="16 characters"):
        tokens_of(str(tmp_path), {TOKEN_VARIABLE: "short"})


def test_an_address_that_others_reach_needs_a_token(tmp_path):
    check_host("127.0.0.1", tokens_of(str(tmp_path), {}))
    check_host("0.0.0.0", tokens_of(str(tmp_path), {TOKEN_VARIABLE: TOKEN}))
    for tokens in (tokens_of(str(tmp_path), {}), tokens_of(str(tmp_path), {ADMIN_VARIABLE: ADMIN})):
        with pytest.raises(ConfigurationError, match="need a token"):
            check_host("0.0.0.0", tokens)


def test_a_token_is_in_no_representation(tmp_path):
    assert TOKEN not in repr(tokens_of(str(tmp_path), {TOKEN_VARIABLE: TOKEN}))
