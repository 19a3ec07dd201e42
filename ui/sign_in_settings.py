"""The organisation's sign-in as configured: a YAML file, read and judged before the server starts.

1. Nothing goes over a line that others can read: issuer and address are https, but on this very machine.
2. The client secret is in no configuration: it is in a file of its own or in `SECRET_VARIABLE`.
3. Of the groups that somebody is in, the first that `roles` lists decides; nobody has two roles.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator

from audit.access import Role
from medproto.config import Settings
from medproto.errors import ConfigError
from ui.sessions import IDLE_S

SECRET_VARIABLE: Final = "MEDPROTO_OIDC_SECRET"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SUBJECT: Final = "sub"


def protected(url: str) -> bool:
    """Whether what goes to this address is encrypted, or stays on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


def _address(url: str) -> str:
    parts = urlsplit(url)
    if not protected(url) or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("expected an https address without user, query and fragment (http on this machine alone)")
    return url


_Address = Annotated[str, AfterValidator(_address)]


class OidcSettings(Settings):
    """What the organisation's provider is asked, and what its answer means here."""

    #: Issuer, to the letter as the provider's discovery document and its tokens spell it.
    issuer: _Address
    client_id: Annotated[str, Field(min_length=1)]
    #: File that holds the client secret and nothing else, relative to the configuration; else `SECRET_VARIABLE`.
    client_secret_file: Path | None = None
    #: How browsers reach the reading room; the provider sends them back to `/auth/oidc/callback` there.
    address: _Address
    #: What the button says after "Sign in with".
    label: Annotated[str, Field(min_length=1, max_length=40)] = "your organisation"
    scopes: tuple[str, ...] = ("openid",)
    #: Claim whose value is the name in the ledger; the provider alone may set it, never the person.
    name_claim: Annotated[str, Field(min_length=1)] = _SUBJECT
    #: Stands before every such name, which is nobody's then who signs in by password: a new one for a new provider.
    name_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,19}$")] = "oidc"
    #: Claim that holds the groups, or the way to it through claims in claims.
    groups_claim: str | tuple[str, ...] = "groups"
    #: Group -> role, the first that fits.
    roles: Annotated[dict[str, Role], Field(min_length=1)]
    #: Somebody who proved to the provider longer ago who they are is asked again; None leaves that to the provider.
    max_age_s: Annotated[int, Field(ge=60)] | None = int(IDLE_S)

    @field_validator("address")
    @classmethod
    def _has_no_path(cls, url: str) -> str:
        if urlsplit(url).path not in ("", "/"):
            raise ValueError("expected an address without a path: the reading room is served at the root")
        return url.rstrip("/")

    @field_validator("scopes")
    @classmethod
    def _is_openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("expected openid among them")
        return scopes

    @property
    def host(self) -> str:
        """Name under which browsers reach the reading room."""
        return urlsplit(self.address).hostname or ""


@dataclass(frozen=True)
class OidcClient:
    """The settings, and the secret that shows the provider who asks."""

    settings: OidcSettings
    secret: str = field(repr=False)


def read_oidc(path: Path) -> OidcClient:
    """The organisation's sign-in from its configuration.

    Raises:
        ConfigError: names the key, and what is expected.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"organisation's sign-in: its configuration cannot be read ({err.strerror})") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError("organisation's sign-in: its configuration is not YAML") from err
    try:
        settings = OidcSettings.model_validate(document)
    except ValidationError as err:
        raise ConfigError(f"organisation's sign-in: {_first_problem(err)}") from err
    return OidcClient(settings, _secret(path.parent, settings))


def _secret(folder: Path, settings: OidcSettings) -> str:
    if settings.client_secret_file is None:
        secret = os.environ.get(SECRET_VARIABLE, "")
    else:
        try:
            secret = (folder / settings.client_secret_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("organisation's sign-in: client_secret_file cannot be read") from err
    if not secret:
        raise ConfigError(f"organisation's sign-in: got no secret, expected client_secret_file or {SECRET_VARIABLE}")
    return secret


def _first_problem(err: ValidationError) -> str:
    problem = err.errors(include_url=False, include_context=False, include_input=False)[0]
    key = ".".join(str(part) for part in problem["loc"]) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return f"got a key {key}, expected {', '.join(OidcSettings.model_fields)}"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}"
