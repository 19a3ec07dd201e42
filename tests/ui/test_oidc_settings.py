"""The organisation's sign-in as configured: what is wrong is one sentence before the server starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from medproto.errors import ConfigError
from ui.sign_in_oidc import BEGUN_S, BegunSignIns, vouched
from ui.sign_in_settings import SECRET_VARIABLE, OidcClient, OidcSettings, protected, read_oidc

RIGHT: dict[str, Any] = {
    "issuer": "https://login.example/realms/staff",
    "client_id": "medproto",
    "address": "https://reading.example",
    "roles": {"chiefs": "admin", "auditors": "auditor", "readers": "reader"},
}
CLAIMS: dict[str, Any] = {"sub": "f7c3", "groups": ["readers"], "email": "Grace@Hospital.example"}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is in the environment."""
    monkeypatch.setenv(SECRET_VARIABLE, "from the environment")


def read(folder: Path, **changed: Any) -> OidcClient:
    """What is read of this configuration."""
    (folder / "oidc.yaml").write_text(yaml.safe_dump(RIGHT | changed, sort_keys=False))
    return read_oidc(folder / "oidc.yaml")


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"issuer": "http://login.example"}, "issuer: expected an https address"),
        ({"issuer": "login.example"}, "issuer: expected an https address"),
        ({"issuer": "https://login.example/?tenant=1"}, "issuer: expected an https address"),
        ({"address": "http://reading.example"}, "address: expected an https address"),
        ({"address": "https://reading.example/room"}, "address: expected an address without a path"),
        ({"address": "https://ada:pass@reading.example"}, "address: expected an https address without user"),
        ({"roles": {}}, "roles: Dictionary should have at least 1 item"),
        ({"roles": {"chiefs": "king"}}, "roles.chiefs: Input should be 'reader', 'auditor' or 'admin'"),
        ({"scopes": ["email"]}, "scopes: expected openid among them"),
        ({"name_prefix": "Hospital:"}, "name_prefix: String should match pattern"),
        ({"max_age_s": 0}, "max_age_s: Input should be greater than or equal to 60"),
        ({"client_secret": "hunter22"}, "got a key client_secret, expected issuer, client_id, client_secret_file"),
        ({"client_id": ""}, "client_id: String should have at least 1 character"),
    ],
)
def test_a_mistake_names_its_key_and_what_is_expected(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^organisation's sign-in: {said}") as caught:
        read(tmp_path, **changed)
    assert "hunter22" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a list", "issuer: [", b"\xff\xfe"])
def test_what_is_no_configuration_is_said(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "oidc.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=r"^organisation's sign-in: ") as caught:
        read_oidc(tmp_path / "oidc.yaml")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_oidc(tmp_path / "nowhere.yaml")


def test_the_secret_is_in_a_file_or_in_the_environment_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(tmp_path).secret == "from the environment"
    (tmp_path / "secret").write_text("from the file\n")
    client = read(tmp_path, client_secret_file="secret")
    assert client.secret == "from the file"
    assert "from the" not in repr(client)
    with pytest.raises(ConfigError, match="client_secret_file cannot be read"):
        read(tmp_path, client_secret_file="nowhere")
    monkeypatch.delenv(SECRET_VARIABLE)
    with pytest.raises(ConfigError, match="got no secret, expected client_secret_file or MEDPROTO_OIDC_SECRET"):
        read(tmp_path)


@pytest.mark.parametrize(
    "url, is_so",
    [
        ("https://login.example/x", True),
        ("http://localhost:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://localhost@login.example", False),
        ("ftp://login.example", False),
        ("https://", False),
        ("https://[", False),
    ],
)
def test_only_https_and_this_machine_are_protected(url: str, is_so: bool) -> None:
    assert protected(url) is is_so


@pytest.mark.parametrize(
    "changed, claims, name",
    [
        ({}, {}, "f7c3"),
        ({"name_claim": "email"}, {}, None),
        ({"name_claim": "email"}, {"email_verified": "true"}, None),
        ({"name_claim": "email"}, {"email_verified": True}, "grace@hospital.example"),
        ({"name_claim": "preferred_username"}, {"preferred_username": "GHopper"}, "ghopper"),
        ({"name_claim": "preferred_username"}, {"preferred_username": ["GHopper"]}, None),
        ({"name_claim": "preferred_username"}, {"preferred_username": "\u212aelly"}, "\u212aelly"),
        ({"name_claim": "preferred_username"}, {}, None),
    ],
)
def test_a_name_is_one_claim_and_an_address_counts_if_it_is_verified(
    changed: dict[str, Any], claims: dict[str, Any], name: str | None
) -> None:
    assert vouched(OidcSettings(**(RIGHT | changed)), CLAIMS | claims).name == name


def test_groups_are_found_in_claims_within_claims() -> None:
    settings = OidcSettings(**(RIGHT | {"groups_claim": ["realm_access", "roles"]}))
    nested = {"realm_access": {"roles": ["readers", "auditors"]}}
    assert vouched(settings, {"sub": "x"} | nested).role == "auditor"
    assert vouched(settings, {"sub": "x", "realm_access": ["readers"]}).role is None
    dotted = OidcSettings(**(RIGHT | {"groups_claim": "https://hospital.example/groups"}))
    assert vouched(dotted, {"sub": "x", "https://hospital.example/groups": ["readers"]}).role == "reader"


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_begun_is_given_back_once_and_for_ten_minutes() -> None:
    clock = Clock()
    begun = BegunSignIns(clock)
    one, other = begun.begin({"x": 1}, "/a"), begun.begin({"x": 2}, "/b")
    assert begun.take("A" * 43) is None
    taken = begun.take(one)
    assert taken is not None
    assert (taken.sent, taken.after) == ({"x": 1}, "/a")
    assert begun.take(one) is None
    clock.now += BEGUN_S + 1
    assert begun.take(other) is None


def test_sign_ins_that_nobody_ends_do_not_pile_up() -> None:
    clock = Clock()
    begun = BegunSignIns(clock)
    first, *_ = [begun.begin({}, "/") for _ in range(10_000)]
    last = begun.begin({}, "/")
    assert begun.take(first) is None
    assert begun.take(last) is not None
    clock.now += BEGUN_S + 1
    begun.begin({}, "/")
    assert len(vars(begun)["_open"]) == 1
