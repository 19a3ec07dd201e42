"""The look of the reading room: one style sheet, dark, quiet, with text contrast of at least 4.5 : 1."""

from __future__ import annotations

import base64
from typing import Final

#: Two breasts, chest walls together, as they hang.
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="5" fill="#0e1114"/>'
    '<path d="M15 5a11 11 0 0 0 0 22z" fill="#e4e8ec"/><path d="M17 5a11 11 0 0 1 0 22z" fill="#e3a94a"/></svg>'
)
STYLE: Final = """<style>
.block-container{padding:4rem 2.2rem 3rem;max-width:1700px}
.mp-banners{position:fixed;top:.95rem;right:3.8rem;z-index:999999;display:flex;gap:.6rem;align-items:center;
  font-size:.8rem}
.mp-banner{background:#343d47;color:#f1f4f6;padding:.16rem .6rem;border-radius:.25rem;font-weight:600}
.mp-synthetic{background:#8f3f00;color:#fff}
.mp-who{color:#aab3bd;white-space:nowrap}
.mp-who b{display:inline-block;vertical-align:bottom;max-width:max(6rem,9vw);overflow:hidden;text-overflow:ellipsis}
.mp-form{margin:0}
.mp-form button{background:none;border:1px solid #59636e;border-radius:.25rem;color:#e4e8ec;font:inherit;
  padding:.1rem .5rem;cursor:pointer}
.mp-form button:hover{border-color:#e3a94a}
@media(max-width:1500px){[data-testid="stTopNavLink"] :has(> [data-testid="stIconMaterial"]){display:none}}
.st-key-lead_back{position:absolute}
.mp-quiet{color:#aab3bd}
[data-testid="stBaseButton-primary"]{color:#0e1114}
[data-testid="stBaseButton-primary"]:hover,[data-testid="stBaseButton-primary"]:active{color:#0e1114}
[data-testid="stTextInputRootElement"]:not(:focus-within),
[data-testid="stSelectbox"] div:has(>input):not(:focus-within),
[data-testid="stDateInputField"]:not(:focus-within),
[data-testid="stCheckbox"] label:has(input:not(:checked)) span+div:not(:has(*)){border-color:#69737f}
.stMarkdown code{color:#9fd0b8}
.mp-small{font-size:.82rem;line-height:1.45}
.mp-row{display:grid;align-items:center;gap:.8rem;min-height:2.3rem;font-size:.9rem;
  font-variant-numeric:tabular-nums}
.mp-row.mp-head{color:#aab3bd;font-size:.78rem;min-height:1.6rem}
[class*="st-key-list_head_"]{border-bottom:1px solid #4a535e}
[class*="st-key-line_"]{border-bottom:1px solid #262c33}
[class*="st-key-line_"],[class*="st-key-tile_"]{position:relative}
[class*="st-key-line_"]:hover,[class*="st-key-tile_"]:hover{background:#14181d}
[class*="st-key-line_"]:has(.mp-marked){box-shadow:-.5rem 0 #0e1114,-.7rem 0 #ffd24a;background:#191d22}
[class*="st-key-line_"] button{justify-content:flex-end;min-height:2.2rem}
:is([class*="st-key-line_"],[class*="st-key-tile_"]) [data-testid="stElementContainer"]:has(button){position:static}
:is([class*="st-key-line_"],[class*="st-key-tile_"]) button::after{content:"";position:absolute;inset:0}
:is([class*="st-key-line_"],[class*="st-key-tile_"]) button:focus-visible::after{outline:2px solid #ffd24a}
.mp-row>*{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.mp-chip{display:inline-block;padding:.05rem .5rem;border-radius:.25rem;font-weight:600;font-size:.82rem;
  border:1px solid #59636e;color:#d7dde3}
.mp-chip.flagged{background:#8f3f00;border-color:#8f3f00;color:#fff}
.mp-chip.none{border-style:dashed}
.mp-conclusion{border-left:.3rem solid #69737f;padding:.15rem 0 .15rem .9rem;font-size:1.06rem;line-height:1.5}
.mp-conclusion.flagged{border-color:#e07a1f}
.mp-conclusion p{margin:.35rem 0 0;font-size:.88rem;color:#c3cad1}
.mp-scale{position:relative;height:3.9rem;margin:.5rem 0 .2rem;font-size:.82rem;font-variant-numeric:tabular-nums}
.mp-scale .zone{position:absolute;top:1.5rem;height:.7rem}
.mp-scale .low{left:0;background:#39424c}.mp-scale .high{right:0;background:#7a4413}
.mp-scale .point{position:absolute;top:1.35rem;height:1.1rem;border-left:2px solid #f1f4f6}
.mp-scale .mark{position:absolute;top:1.05rem;width:0;height:0;margin-left:-.45rem;border-left:.45rem solid transparent;
  border-right:.45rem solid transparent;border-top:.75rem solid #ffd24a}
.mp-scale .label{position:absolute;white-space:nowrap;transform:translateX(-50%)}
.mp-facts{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;margin:.1rem 0 .3rem;font-size:.9rem;
  font-variant-numeric:tabular-nums}
.mp-facts div span{display:block;color:#aab3bd;font-size:.78rem}
[data-testid="stColumn"]:has(.st-key-exam_views){position:sticky;top:4rem;align-self:flex-start}
div:has(>.st-key-decision){position:sticky;bottom:0;z-index:20}
.st-key-decision{background:#0e1114;border-top:1px solid #4a535e;padding:.5rem 0 .7rem;gap:.45rem}
.st-key-decision::before{content:"";position:absolute;inset:-1.7rem 0 auto;height:1.6rem;pointer-events:none;
  background:linear-gradient(#0e111400,#0e1114)}
.st-key-decision_keys,.st-key-decision [data-testid="InputInstructions"]{display:none}
.st-key-decision textarea{max-height:9rem}
.st-key-worklist_kind button{min-height:2.47rem}
[class*="st-key-card_"]{position:relative;border-top:1px solid #262c33}
[class*="st-key-card_"]:hover{background:#14181d}
[class*="st-key-focus_"]{position:absolute!important;inset:0;z-index:1}
[class*="st-key-focus_"] *{width:100%;height:100%}
[class*="st-key-focus_"] button{opacity:0}
[class*="st-key-focus_"] button:focus-visible{opacity:1;background:transparent;color:transparent;
  outline:2px solid #ffd24a}
[class*="st-key-draft_misleads_"]{position:absolute!important;right:.2rem;top:.45rem;z-index:2;width:auto!important}
.mp-card{display:grid;grid-template-columns:1.7rem 8.2rem 8.2rem minmax(0,1fr);gap:.7rem;padding:.7rem 0;
  overflow-wrap:anywhere;font-size:.85rem;line-height:1.4}
.mp-card figure{margin:0}
.mp-card .square{aspect-ratio:1;background:#000;display:flex;align-items:center;justify-content:center}
.mp-card .square img{display:block;aspect-ratio:1}
.mp-card .ruler{display:flex;align-items:center;gap:.35rem;font-size:.72rem;color:#c3cad1;height:1rem}
.mp-card .ruler i{height:.3rem;border:1px solid #e4e8ec;border-top:0}
.mp-card figcaption{color:#c3cad1;font-size:.78rem;margin-top:.2rem}
.mp-card .no{background:#ffd24a;color:#000;font-weight:700;text-align:center;min-width:1.6rem;height:1.6rem;
  line-height:1.6rem}
.mp-card .no.against{background:transparent;color:#7fd0ee;outline:1.5px solid #7fd0ee;outline-offset:-1.5px}
.mp-card .warn{border:1px solid #e6b08a;padding:.15rem .5rem;margin:.25rem 0;font-weight:600}
.mp-card .name{font-weight:600;overflow-wrap:anywhere;padding-right:6.5rem}
.mp-card .sum{font-variant-numeric:tabular-nums;margin:.2rem 0}
.mp-fall{width:100%;border-collapse:collapse;font-size:.84rem;font-variant-numeric:tabular-nums}
.mp-fall td,.mp-fall th{padding:.22rem .4rem .22rem 0;border:0;border-bottom:1px solid #22282e;text-align:left}
.mp-fall th{color:#aab3bd;font-weight:400;font-size:.78rem}
.mp-classes{margin-bottom:.8rem}.mp-classes td+td,.mp-classes th+th{padding-left:.6rem}
.mp-fall .n{text-align:right;white-space:nowrap}
.mp-fall .bar{position:relative;width:46%;min-width:8rem;padding:0}
.mp-fall .bar i{position:absolute;top:25%;height:50%;background:#e3a94a;min-width:1px}
.mp-fall .bar i.minus{background:repeating-linear-gradient(45deg,#3f8fb3,#3f8fb3 3px,#1d5f7a 3px,#1d5f7a 6px)}
.mp-fall .bar i.point{background:none;border:1px dashed #f1f4f6}
.mp-fall .bar i.total{background:#cfd6dd}
.mp-fall .bar b{position:absolute;top:0;bottom:0;border-left:1px dashed #f1f4f6}
.mp-fall tr.total td{font-weight:700;border-top:1px solid #4a535e}
.mp-tile{font-size:.8rem;line-height:1.45;overflow-wrap:anywhere}
.mp-tile img,.mp-tile .gone{width:100%;aspect-ratio:1;background:#000;display:block;margin-bottom:.4rem}
.mp-tile .name{font-weight:600}
.mp-tile.other img{outline:2px dashed #e6b08a;outline-offset:-2px}
.mp-closest{display:grid;grid-template-columns:repeat(5,minmax(0,11.5rem));gap:.9rem}
.mp-prototype{display:grid;grid-template-columns:15rem minmax(0,1fr);gap:1.2rem}
.mp-prototype.one{display:block}
.mp-prototype h3{font-size:1.1rem;margin:0 0 .4rem}
.mp-prototype dl{margin:.4rem 0 0;padding:0;font-size:.87rem;display:grid;
  grid-template-columns:8rem minmax(0,1fr);gap:.25rem .6rem}
.mp-prototype dt{color:#aab3bd;margin:0}.mp-prototype dd{margin:0;overflow-wrap:anywhere}
.mp-tile b{display:block;border:1px solid #e6b08a;padding:.1rem .4rem;margin:.2rem 0}
.mp-finding{display:grid;grid-template-columns:5.2rem 6.5rem 1fr;gap:.6rem;padding:.35rem 0;
  border-top:1px solid #262c33;font-size:.87rem}
.mp-finding b{font-weight:600}
</style>"""


def data_uri(png: bytes) -> str:
    """A stored PNG, byte for byte, as the address of a picture on the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
