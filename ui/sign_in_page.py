"""The pages before the application: the door, and the two that lead on to another place."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.responses import HTMLResponse

from audit.report_words import RESEARCH_USE
from medproto.errors import MedprotoError

SIGN_IN: Final = "/auth/sign-in"
OIDC: Final = "/auth/oidc"
_LONGEST_PATH: Final = 2048
NO_LEDGER: Final = "The ledger cannot be reached, and nobody comes in without it. Try again soon."
_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{more}<link rel="icon" href="data:,"><title>{title}: medproto reading room</title><style>
body{{margin:0;min-height:100vh;display:grid;place-items:center;background:#0e1114;color:#e4e8ec;
  font:16px/1.5 "Source Sans",system-ui,sans-serif}}
main{{width:min(22rem,90vw)}} h1{{font-size:1.3rem;font-weight:600;margin:0 0 .2rem}}
p{{margin:.2rem 0 1.2rem;color:#aab3bd;font-size:.9rem}} a{{color:#e3a94a}}
label{{display:block;margin:.9rem 0 .25rem;font-size:.9rem}}
input{{box-sizing:border-box;width:100%;padding:.55rem .7rem;font:inherit;color:inherit;background:#191d22;
  border:1px solid #59636e;border-radius:.3rem}}
input:focus-visible,button:focus-visible,a:focus-visible{{outline:2px solid #e3a94a;outline-offset:2px}}
button,.button{{box-sizing:border-box;display:block;margin-top:1.3rem;width:100%;padding:.6rem;font:inherit;
  font-weight:600;text-align:center;text-decoration:none;color:#14181c;background:#e3a94a;border:0;
  border-radius:.3rem;cursor:pointer}}
.another{{margin:.7rem 0 0;text-align:center}} .another a{{color:#aab3bd}}
h2{{margin:1.8rem 0 0;padding-top:1.2rem;border-top:1px solid #323942;font-size:.95rem;font-weight:600}}
h2 ~ form button{{color:#e4e8ec;background:#323942}}
[role=alert]{{margin:0 0 .4rem;padding:.5rem .7rem;border-left:.3rem solid #e07a1f;background:#191d22;color:#f1f4f6}}
footer{{margin-top:1.6rem;color:#aab3bd;font-size:.8rem}}
</style></head><body><main>"""
_DOOR: Final = "<h1>medproto reading room</h1><p>Every sign-in is written into the ledger.</p>"
_BUTTON: Final = """<a class="button" href="{action}?next={next}">Sign in with {label}</a>
<p class="another"><a href="{action}?next={next}&amp;again=1">Use another account</a></p>"""
_OTHERWISE: Final = "<h2>Or with a name of this reading room</h2>"
_FORM: Final = """<form method="post" action="{action}">
<input type="hidden" name="next" value="{next}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" maxlength="100" required{focus}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required>
<button type="submit">Sign in</button>
</form>"""
_FOOT: Final = f"<footer>{RESEARCH_USE}</footer></main></body></html>"


@dataclass(frozen=True)
class Ways:
    """How somebody can come in.

    Args:
        label: what the organisation's button says; None where there is none.
        by_name: whether names and passwords are asked for.
    """

    label: str | None
    by_name: bool


def door_page(ways: Ways, after: str, said: str, status: int) -> HTMLResponse:
    """The page that asks who it is; `said` is what went wrong, `after` where they wanted to go."""
    parts = [_HEAD.format(title="Sign in", more=""), _DOOR]
    if said:
        parts.append(f'<div role="alert">{html.escape(said)}</div>')
    if ways.label is not None:
        parts.append(_BUTTON.format(action=OIDC, next=quote(local(after), safe=""), label=html.escape(ways.label)))
    if ways.label is not None and ways.by_name:
        parts.append(_OTHERWISE)
    if ways.by_name:
        focus = "" if ways.label else " autofocus"
        parts.append(_FORM.format(action=SIGN_IN, next=html.escape(local(after), quote=True), focus=focus))
    return HTMLResponse("\n".join([*parts, _FOOT]), status, {"Cache-Control": "no-store"})


def onward_page(title: str, to: str) -> HTMLResponse:
    """A page that leads on by itself.

    It stands where a redirect would not do: a strict cookie is not sent along a redirect that another site began, and
    `form-action` holds a form's redirect back from another site.
    """
    where = html.escape(to, quote=True)
    head = _HEAD.format(title=title, more=f'<meta http-equiv="refresh" content="0;url={where}">')
    text = f'{head}<h1>{title}</h1><p><a href="{where}">Go on</a></p>{_FOOT}'
    return HTMLResponse(text, 200, {"Cache-Control": "no-store"})


def as_said(err: MedprotoError) -> str:
    """What went wrong at the door, as a sentence on its page."""
    return f"{str(err).removeprefix('sign-in: ').capitalize()}."


def sign_in_address(path: str) -> str:
    """Address of the page that comes back to this path."""
    return f"{SIGN_IN}?next={quote(local(path), safe='')}"


def local(path: str) -> str:
    """A path of this server, whatever was asked for: nobody is sent elsewhere after signing in."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain and path.isprintable() and len(path) <= _LONGEST_PATH else "/"
