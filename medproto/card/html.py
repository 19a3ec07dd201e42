"""A model card as one HTML page: no script, no file beside it, readable in light, in dark and in print."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Final

from medproto.card.records import Card, Gallery, Items, Part, Picture, Section, Table, Words

STYLE: Final = """
:root{color-scheme:light dark;--ink:#16191d;--quiet:#4d565f;--paper:#fff;--line:#c9d0d6;--head:#eef1f4}
@media (prefers-color-scheme:dark){:root{--ink:#e9edf0;--quiet:#aab3bd;--paper:#14171a;--line:#3a434c;--head:#22282e}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem 1.2rem 3rem;max-width:68rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.6rem;margin:.8rem 0 .4rem}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
p,li{max-width:48rem}ul{padding-left:1.2rem;margin:.4rem 0}
.banner{background:#8f3f00;color:#fff;font-weight:600;padding:.35rem .8rem;border-radius:.25rem;display:inline-block;
margin:.2rem .4rem .2rem 0;-webkit-print-color-adjust:exact;print-color-adjust:exact}
nav{columns:16rem;font-size:.9rem}nav a{display:block;color:inherit}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.86rem;margin:.6rem 0 1rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem;border:1px solid var(--line);overflow-wrap:anywhere;
min-width:4.5rem}th{background:var(--head)}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1.4rem 1.1rem}
figure{margin:0;break-inside:avoid}figure img{display:block;width:100%;height:auto;background:#000}
dl{font-size:.8rem;margin:.3rem 0 0;display:grid;grid-template-columns:auto 1fr;gap:0 .5rem}
dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
@media print{:root{color-scheme:light;--ink:#000;--quiet:#333;--paper:#fff;--line:#999;--head:#eee}
body{max-width:none;padding:0;font-size:10pt}tr{break-inside:avoid}h2{break-after:avoid}.wide{overflow:visible}
.gallery{grid-template-columns:repeat(4,1fr)}nav{display:none}}@page{margin:15mm}
"""


def html(card: Card) -> str:
    """The whole page; it loads nothing, and every text is escaped."""
    banners = "".join(f"<span class=banner>{escape(banner)}</span>" for banner in card.banners)
    links = "".join(
        f'<a href="#s{place}">{escape(section.title)}</a>' for place, section in enumerate(card.sections, start=1)
    )
    sections = "\n".join(_section(place, section) for place, section in enumerate(card.sections, start=1))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(card.title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>\n<header>{banners}<h1>{escape(card.title)}</h1></header><nav>{links}</nav>\n{sections}\n</body></html>\n"
    )


def _section(place: int, section: Section) -> str:
    body = "\n".join(map(_part, section.parts))
    return f'<section id="s{place}"><h2>{escape(section.title)}</h2>\n{body}</section>'


def _part(part: Part) -> str:
    match part:
        case Words(text, strong):
            return f"<p><strong>{escape(text)}</strong></p>" if strong else f"<p>{escape(text)}</p>"
        case Items(lines):
            return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        case Table(head, rows):
            body = "\n".join(_row("td", row) for row in rows)
            return f"<div class=wide><table>{_row('th', head)}\n{body}</table></div>"
        case Gallery(pictures):
            return f"<div class=gallery>{''.join(map(_figure, pictures))}</div>"


def _row(kind: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _figure(picture: Picture) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in picture.facts)
    content = base64.b64encode(picture.png).decode()
    image = f'<img alt="{escape(picture.shows)}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption><dl>{facts}</dl></figcaption></figure>"
