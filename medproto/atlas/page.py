"""The global analysis as one HTML page: no script, no file beside it, readable in light, in dark and in print."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from medproto.atlas.records import Atlas, Portrait, Relative, Tilt
from medproto.atlas.words import measured_on, of, percent, sentence, tilts_told
from medproto.neighbourhood import SPLIT_WORDS, Neighbour, Neighbourhood

RESEARCH_ONLY: Final = "For research only. Not a medical device, not for diagnosis."
#: Own class and other class differ in the line's kind too, so that no colour has to be told.
STYLE: Final = """
:root{color-scheme:light dark;--ink:#16191d;--quiet:#4d565f;--paper:#fff;--line:#c9d0d6;--own:#8a5200;--other:#0b5f86}
@media (prefers-color-scheme:dark){:root{--ink:#e9edf0;--quiet:#aab3bd;--paper:#14171a;--line:#3a434c;--own:#ffb03a;
--other:#7fd0ee}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem 1.2rem 3rem;max-width:76rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;margin:.8rem 0 .2rem}h2{font-size:1.2rem;margin:2rem 0 .4rem;border-bottom:1px solid var(--line)}
h3{font-size:1.05rem;margin:0 0 .4rem}h4{font-size:.9rem;margin:.8rem 0 .3rem}
a{color:inherit}.quiet{color:var(--quiet);font-size:.88rem}
.banner{background:#8f3f00;color:#fff;font-weight:600;padding:.35rem .8rem;border-radius:.25rem;display:inline-block;
margin:.2rem .4rem .2rem 0;-webkit-print-color-adjust:exact;print-color-adjust:exact}
nav ul{columns:14rem;margin:.2rem 0 .8rem;padding-left:1.1rem}
article{border-top:1px solid var(--line);padding:1rem 0 1.2rem;display:grid;gap:0 1.3rem;
grid-template-columns:12.5rem 1fr}
h2+article{border-top:0}article p{margin:0}article>h3{grid-column:1/-1}article>div{min-width:0}
figure{margin:0}figcaption{font-size:.78rem;line-height:1.3;color:var(--quiet);margin-top:.15rem}
img{display:block;width:100%;height:auto;background:#000}
.strip{display:flex;flex-wrap:wrap;gap:.6rem}.strip figure{width:7.4rem}
.strip img{border:3px solid var(--own)}.strip .other img{border:3px dashed var(--other)}
.strip b{color:var(--own)}.strip .other b{color:var(--other)}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.12rem .9rem .12rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right}
@media (max-width:42rem){article{display:block}article>div:first-of-type{max-width:12.5rem}}
@media print{:root{color-scheme:light;--ink:#000;--quiet:#333;--paper:#fff;--line:#999;--own:#8a5200;--other:#0b5f86}
body{max-width:none;padding:0;font-size:10.5pt}article{break-inside:avoid}h2,h4{break-after:avoid}
.strip figure{width:2.3cm}article{grid-template-columns:3.4cm 1fr}a{text-decoration:none}}
"""


def page(atlas: Atlas, pictures: Mapping[str, bytes]) -> str:
    """The whole page.

    Args:
        atlas: what is shown.
        pictures: digest -> PNG, every one that the atlas names.
    """
    number = {each.prototype_id: place for place, each in enumerate(atlas.portraits, start=1)}
    title = escape(f"Prototypes of {atlas.name}")
    body = [_head(atlas), _contents(atlas, number)]
    for name in atlas.classes:
        if chosen := atlas.of(name):
            body.append(f"<h2>{escape(name)}</h2>")
            body += [_article(each, atlas, pictures, number) for each in chosen]
    if atlas.left_out:
        rows = "".join(f"<li>{escape(reason)}</li>" for reason in atlas.left_out)
        body.append(f"<h2>Left out</h2><ul class=quiet>{rows}</ul>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>\n{chr(10).join(body)}\n</body></html>\n"
    )


def _head(atlas: Atlas) -> str:
    banners = [RESEARCH_ONLY, *(["SYNTHETIC images: no patient is shown"] if atlas.synthetic else [])]
    shown = "".join(f"<span class=banner>{escape(words)}</span>" for words in banners)
    facts = [
        f"Bundle {atlas.bundle_id}.",
        f"Data: {atlas.data_name}. Licence: {'; '.join(atlas.licences)}.",
        measured_on(atlas),
        tilts_told(atlas),
    ]
    lines = "<br>".join(escape(fact) for fact in facts)
    return (
        f"<header>{shown}<h1>Prototypes of {escape(atlas.name)}</h1><p class=quiet>{lines}</p><p>Every prototype is a "
        "patch of a training image. Beside it stand the patches of other patients that are most like it, one an "
        "image, the most alike first: a solid frame where the image is of the prototype's class, a dashed one where "
        "it is not. The class is that of the image, not of the patch. The amber square is what was compared.</p>"
        "</header>"
    )


def _contents(atlas: Atlas, number: Mapping[str, int]) -> str:
    lists = []
    for name in atlas.classes:
        entries = "".join(
            f'<li><a href="#p{number[each.prototype_id]}">{escape(each.prototype_id)}</a> '
            f"<span class=quiet>{percent(each.decided)}</span></li>"
            for each in atlas.of(name)
        )
        lists.append(f"<h4>{escape(name)}</h4><ul>{entries or '<li>no prototype</li>'}</ul>")
    return f"<nav><p class=quiet>With each its share of all contributions.</p>{''.join(lists)}</nav>"


def _article(portrait: Portrait, atlas: Atlas, pictures: Mapping[str, bytes], number: Mapping[str, int]) -> str:
    source = portrait.source
    taken = f"{source.laterality or 'side unknown'} {source.view or 'view unknown'}"
    patch = _image(pictures[source.patch], f"training patch of {portrait.prototype_id}")
    strips = "".join(_strip(each, portrait, pictures) for each in portrait.neighbourhoods)
    others = _relatives((*portrait.same_class, *portrait.other_classes), number)
    return (
        f'<article id="p{number[portrait.prototype_id]}"><h3>{escape(portrait.prototype_id)}</h3>'
        f"<div><figure>{patch}<figcaption>{escape(taken)}, training image of class "
        f"{escape(portrait.prototype_class)}; weight on the margin {portrait.weight:+.3f}</figcaption></figure></div>"
        f"<div><p>{escape(sentence(portrait, atlas))}</p>{strips}{others}{_tilts(portrait.tilts)}</div></article>"
    )


def _strip(around: Neighbourhood, portrait: Portrait, pictures: Mapping[str, bytes]) -> str:
    shown = "".join(_neighbour(each, portrait, pictures) for each in around.nearest)
    head = f"Nearest {SPLIT_WORDS[around.split]} images: {of(around.purity)} of its class"
    return f"<h4>{escape(head)}</h4><div class=strip>{shown}</div>"


def _neighbour(neighbour: Neighbour, portrait: Portrait, pictures: Mapping[str, bytes]) -> str:
    kind = "" if neighbour.image_class == portrait.prototype_class else " class=other"
    place = f"{neighbour.laterality or '?'} {neighbour.view or '?'}"
    image = _image(pictures[neighbour.patch], f"patch of an image of class {neighbour.image_class}")
    return (
        f"<figure{kind}>{image}<figcaption><b>{escape(neighbour.image_class)}</b><br>{escape(place)}, similarity "
        f"{neighbour.similarity:.2f}</figcaption></figure>"
    )


def _relatives(relatives: Sequence[Relative], number: Mapping[str, int]) -> str:
    if not relatives:
        return ""
    rows = "".join(
        f'<tr><td><a href="#p{number[each.prototype_id]}">{escape(each.prototype_id)}</a></td>'
        f"<td>{escape(each.prototype_class)}</td><td class=number>{each.distance:.3f}</td>"
        f"<td class=number>{each.similarity:.2f}</td><td>{'twin' if each.twin else ''}</td></tr>"
        for each in relatives
    )
    return (
        "<h4>Nearest other prototypes</h4><table><tr><th>prototype</th><th>class</th><th class=number>squared distance"
        f"</th><th class=number>similarity</th><th></th></tr>{rows}</table>"
    )


def _tilts(tilts: Sequence[Tilt]) -> str:
    if not tilts:
        return ""
    rows = "".join(
        f"<tr><td>{escape(each.attribute)} {escape(each.group)}</td><td class=number>{each.images}</td>"
        f"<td class=number>{each.patients}</td><td class=number>{each.difference:+.3f}</td>"
        f"<td class=number>{each.low:+.3f} to {each.high:+.3f}</td><td>{'leaves zero out' if each.clear else ''}</td>"
        "</tr>"
        for each in tilts
    )
    return (
        "<h4>Mean similarity beside the other images of the same class</h4><table><tr><th>group</th><th class=number>"
        "images</th><th class=number>patients</th><th class=number>difference</th><th class=number>95 % interval</th>"
        f"<th></th></tr>{rows}</table>"
    )


def _image(content: bytes, words: str) -> str:
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
