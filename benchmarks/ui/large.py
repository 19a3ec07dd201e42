"""The viewer on large images, in headless Chromium at 1280 x 800: how soon an exam is open, how smoothly it moves.

The exam has four views of 4,700 x 2,900 pixels of 12 bits, with the noise of a film, kept in full depth.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from audit.service import Actor, BundleScorer, open_room, score_exam
from medproto import pictures, pyramid
from medproto.ingest.greys import Greys, Preset, Samples
from medproto.records import Box, Scored
from tests.audit.factory import BUNDLE_ID, make_scored, sha256
from tests.ui.serving import served
from tests.ui.test_walk import CHROMIUM, FLAGS

ROWS, COLUMNS = 4700, 2900
SPACING_MM = 0.05
GREYS = Greys(
    offset=0,
    step=1,
    most=4095,
    inverted=False,
    chosen=0,
    presets=(Preset(name="Window 1", function="LINEAR", centre=2048, width=4096),),
)
#: Drags by so many pixels a frame, for two seconds.
DRAG = """async ([button, step]) => {
    const find = (root) => {
        for (const one of root.querySelectorAll('*')) {
            if (one.classList.contains('pane') && one.dataset.image && !one.hidden) return one;
            const below = one.shadowRoot && find(one.shadowRoot);
            if (below) return below;
        }
        return null;
    };
    const target = find(document);
    const box = target.getBoundingClientRect();
    let [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const send = (kind) => target.dispatchEvent(new PointerEvent(kind, {
        clientX: x, clientY: y, button, buttons: button ? 2 : 1, pointerId: 1, bubbles: true }));
    target.setPointerCapture = () => {};
    send('pointerdown');
    const times = [];
    const start = performance.now();
    let turn = 0;
    while (performance.now() - start < 2000) {
        await new Promise((done) => requestAnimationFrame(done));
        times.push(performance.now());
        turn = Math.floor((performance.now() - start) / 500) % 2 ? -1 : 1;
        [x, y] = [x + turn * step, y + turn * step];
        send('pointermove');
    }
    send('pointerup');
    const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return [gaps.length / 2, gaps[Math.floor(gaps.length * 0.95)]];
}"""


def film(seed: int, shape: tuple[int, int] = (ROWS, COLUMNS)) -> Samples:
    """A breast on the left edge, of smooth density, with the noise of a film."""
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    inside = ((y - rows / 2) / (0.42 * rows)) ** 2 + (x / (0.8 * columns)) ** 2
    density = np.where(inside < 1, 2600 - 1400 * inside + 250 * np.sin(y / 90) * np.cos(x / 70), 60)
    noise = np.random.default_rng(seed).normal(0, 24, shape)
    return np.clip(density + noise, 0, 4095).astype(np.uint16)


def large() -> Scored:
    """A flagged exam of four such views."""
    scored = make_scored("flagged", exam="large")
    kept, images = dict(scored.pictures), []
    pair = [film(0), np.ascontiguousarray(film(1)[:, ::-1])]
    for image in scored.prediction.images:
        samples = pair[image.laterality == "R"]
        shown = [pictures.png(pictures.preview(samples.astype(np.float32) / 4095)), pyramid.encode(samples, GREYS)]
        kept |= {sha256(data): data for data in shown}
        whole = Box(top=0, left=0, bottom=ROWS, right=COLUMNS)
        changes = {
            "rows": ROWS,
            "columns": COLUMNS,
            "spacing_mm": (SPACING_MM, SPACING_MM),
            "preview": sha256(shown[0]),
            "preview_scale": pictures.preview_scale((ROWS, COLUMNS)),
            "full_depth": sha256(shown[1]),
            "rendering": image.rendering.model_copy(update={"crop": whole}),
        }
        images.append(image.model_copy(update=changes))
    return Scored(scored.prediction.model_copy(update={"images": tuple(images)}), kept)


def report() -> None:
    """Score the exam, serve it, open it, and print what was measured."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        scored = large()
        (folder / "large.dcm").write_bytes(b"large")
        with open_room(folder / "home", create=True) as room:
            judge = BundleScorer(BUNDLE_ID, "factory-phantom", lambda paths, pseudonymise: scored)
            number = score_exam(room, [folder / "large.dcm"], judge, Actor("bench", "service")).number
        kept = sum(len(scored.pictures[image.full_depth or ""]) for image in scored.prediction.images)
        print(f"four views of {ROWS} x {COLUMNS} in full depth: {kept / 1e6:.1f} MB, {kept / 4e6:.1f} MB a view")
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        with served(folder / "home", folder / "server.log", "--demo") as where:
            for turn in ("first", "second", "third"):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.set_default_timeout(120_000)
                began = time.perf_counter()
                page.goto(f"{where}/exam?entry={number}")
                _complete(page)
                whole_ms = 1e3 * (time.perf_counter() - began)
                opened = page.locator(".viewer").get_attribute("data-opened-ms")
                print(f"{turn} opening: all four views drawn {opened} ms after the viewer began (goal 1,500),")
                print(f"  {whole_ms:.0f} ms after the browser asked for the page, which it loads anew")
                if turn == "third":
                    _moves(page)
                page.close()
        browser.close()


def _complete(page: Page) -> None:
    page.locator(".viewer[data-complete=true]").wait_for()


def _timed(page: Page, name: str, key: str) -> None:
    began = page.evaluate("performance.now()")
    page.keyboard.press(key)
    page.wait_for_timeout(50)
    _complete(page)
    print(f"{name}: {page.evaluate('performance.now()') - began:.0f} ms")


def _moves(page: Page) -> None:
    """Frames a second of what a hand does, with all four views in sight and with one."""
    measured: list[tuple[str, Callable[[], list[float]]]] = [
        ("pan", lambda: page.evaluate(DRAG, [0, 3])),
        ("window", lambda: page.evaluate(DRAG, [2, 3])),
    ]
    for views in ("four views", "one view"):
        if views == "one view":
            _timed(page, "one view alone, fitted", "3")
        for scale, key in (("fitted", "f"), ("1:1", "a")):
            _timed(page, f"{views}, {scale}: drawn after", key)
            for name, drag in measured:
                rate, slowest = drag()
                print(f"{views}, {scale}, {name}: {rate:.0f} frames/s, 95% within {slowest:.0f} ms (goal 30 frames/s)")
                _complete(page)
