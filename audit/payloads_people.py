"""What entries about people hold: who may sign in, who came in, and who was turned away."""

from __future__ import annotations

from typing import Literal

from medproto.records import Digest, Record

UserChange = Literal["added", "role", "disabled", "password"]
PasswordFault = Literal["unknown user", "wrong password", "disabled", "record altered", "too many attempts"]
SignInFault = Literal[PasswordFault, "no role", "no name", "name taken", "answer not genuine"]


class UserChanged(Record):
    """A local user was added or changed; `record` is the digest of what is kept of them, salt and hash included."""

    user: str
    change: UserChange
    role: str
    enabled: bool
    record: Digest


class AccessRefusal(Record):
    """Whoever the entry names was turned away: their role is not for this action."""

    action: str


class SignedIn(Record):
    """Whoever the entry names came in, by a password of this room or by the organisation's sign-in (OIDC).

    `issuer` and `subject` are who they are to the provider, `group` is what gave them their role.
    """

    method: Literal["password", "oidc"]
    issuer: str | None = None
    subject: str | None = None
    group: str | None = None


class SignInRefusal(Record):
    """Somebody was not let in. `user` is a name that is known here: what else was typed may be a password.

    `issuer` and `subject` are who they are to the organisation's provider, where it vouched for them.
    """

    reason: SignInFault
    user: str | None
    issuer: str | None = None
    subject: str | None = None
