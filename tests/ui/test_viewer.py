"""The viewer in a real browser: what is on the canvas is what is kept, under the window that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, expect, sync_playwright

from audit.service import LedgerFilter, ledger_page, open_room
from medproto.ingest import pixels as steps
from tests.audit.factory import VIEWS
from tests.ui.deep import HARDER, WINDOW, samples_of, score_deep
from tests.ui.serving import served
from tests.ui.test_walk import CHROMIUM, FLAGS

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not installed")
#: Of the view that the tests look at, and its place in the exam.
VIEW = "R MLO"
PLACE = VIEWS.index(("R", "MLO"))


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, str, Path]]:
    """A browser, the address of an exam in full depth whose patient has a prior, scored after it, and their home."""
    folder = tmp_path_factory.mktemp("viewer")
    entry = score_deep(folder / "home", patient_id="patient-0011223344556677", study_day=8761)
    score_deep(folder / "home", "before", patient_id="patient-0011223344556677", study_day=8000)
    with served(folder / "home", folder / "server.log", "--demo") as where, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser, f"{where}/exam?entry={entry.number}", folder / "home"
        browser.close()


@pytest.fixture
def page(exam: tuple[Browser, str, Path]) -> Iterator[Page]:
    """The exam, opened at 1280 x 800."""
    browser, address, _ = exam
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    opened.goto(address)
    complete(opened)
    yield opened
    opened.close()


def complete(page: Page) -> None:
    """Wait until every tile in sight is drawn."""
    page.wait_for_timeout(150)
    expect(page.locator(".viewer")).to_have_attribute("data-complete", "true")


def press(page: Page, *keys: str) -> None:
    """Press keys, and wait for what they do."""
    for key in keys:
        page.keyboard.press(key)
    complete(page)


def greys(page: Page, title: str = VIEW) -> NDArray[np.int16]:
    """The middle of a view as it is on its canvas, 40 x 40 pixels; its three colours are one."""
    read = """canvas => { const [w, h] = [canvas.width, canvas.height];
        return Array.from(canvas.getContext('2d').getImageData((w >> 1) - 20, (h >> 1) - 20, 40, 40).data) }"""
    data = page.locator(f".pane[data-title='{title}'] canvas").evaluate(read)
    return np.array(data, np.int16).reshape(40, 40, 4)[..., :3]


def found(part: NDArray[np.int16], picture: NDArray[np.int16]) -> bool:
    """Whether a part is somewhere in a picture, exactly."""
    rows, columns = np.nonzero(picture == part[0, 0])
    return any(np.array_equal(picture[r : r + 40, c : c + 40], part) for r, c in zip(rows, columns, strict=True))


def under(function: str, centre: float, width: float) -> NDArray[np.int16]:
    """The samples of the view as a screen shows them under a window."""
    return np.rint(255 * steps.WINDOWS[function](samples_of(PLACE).astype(float), centre, width)).astype(np.int16)


def drag(page: Page, by: tuple[int, int], button: str = "left") -> None:
    """Drag over the view, from its middle."""
    box = page.locator(f".pane[data-title='{VIEW}']").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)  # type: ignore[arg-type]
    page.mouse.move(x + by[0], y + by[1], steps=4)
    page.mouse.up(button=button)  # type: ignore[arg-type]
    complete(page)


def test_pixels_windows_maps_and_lengths_are_right(page: Page) -> None:
    titles = page.locator(".pane[data-title]").evaluate_all("panes => panes.map(pane => pane.dataset.title)")
    assert titles == ["R CC", "L CC", "R MLO", "L MLO"]

    fitted = greys(page)
    press(page, "h")
    plain = greys(page)
    assert not np.array_equal(plain, fitted), "the map is not drawn, or not taken off"
    assert np.array_equal(plain[..., 0], plain[..., 2])

    press(page, "b", "a")
    actual = greys(page)[..., 0]
    assert found(actual, under("LINEAR", WINDOW.centre, WINDOW.width))
    press(page, "d")
    assert found(greys(page)[..., 0], under("SIGMOID", HARDER.centre, HARDER.width))
    press(page, "w", "i")
    assert np.array_equal(greys(page)[..., 0], 255 - actual)
    press(page, "i")

    drag(page, (90, 0), "right")
    assert found(greys(page)[..., 0], under("LINEAR", WINDOW.centre, WINDOW.width * 2**0.3))
    press(page, "w")
    assert np.array_equal(greys(page)[..., 0], actual)
    drag(page, (-25, 10))
    assert np.array_equal(greys(page)[:30, :15, 0], actual[:30, 25:]) is False
    assert np.array_equal(greys(page)[10:, :15, 0], actual[:30, 25:])

    press(page, "l")
    drag(page, (100, 0))
    # one pixel of the image, of 0.2 mm, to one of the screen
    expect(page.locator(".viewer .status")).to_have_text("R MLO: 20.0 mm")


def test_evidence_is_gone_to_by_key_and_by_card_and_a_box_tells_the_page(page: Page) -> None:
    tag = page.get_by_role("button", name="Evidence 1 on")
    expect(tag).to_be_visible()
    press(page, "e")
    expect(page.locator(".viewer .status")).to_contain_text("Evidence 1 on")
    expect(page.get_by_role("button", name="Evidence 2 on")).to_be_hidden()
    page.get_by_role("button", name="Show A in the views").press("Enter")
    against = page.get_by_role("button", name="Evidence A on")
    expect(against).to_be_visible()
    pane = page.locator(".pane", has=against).bounding_box()
    box = against.bounding_box()
    assert pane
    assert box
    # the label sits at its box, which is in the middle of its view
    assert abs(box["x"] - pane["x"] - pane["width"] / 2) < pane["width"] / 4
    assert abs(box["y"] - pane["y"] - pane["height"] / 2) < pane["height"] / 3
    page.get_by_test_id("stButtonGroup").get_by_text("All", exact=True).click()
    expect(against).to_be_hidden()
    press(page, "f")
    tag.click()
    expect(page.get_by_role("button", name="Evidence 2 on")).to_be_hidden()
    expect(page.get_by_test_id("stButtonGroup").get_by_role("radio", name="1")).to_be_checked()


def test_every_control_has_a_name_and_says_its_key(page: Page) -> None:
    controls = page.locator(".bar button, .bar select, .bar input").all()
    assert len(controls) == 13
    for control in controls:
        assert (
            control.inner_text() if control.get_attribute("type") == "button" else control.get_attribute("aria-label")
        )
        assert str(control.get_attribute("title")).endswith(")")
    for name, keys in (("Fit", "f"), ("Heatmap", "h"), ("Prior", "p"), ("Keys", "?")):
        named = page.get_by_role("button", name=name, exact=True)
        assert named.get_attribute("aria-keyshortcuts") == keys
    page.get_by_label("Opacity of the heatmap").fill("30")
    page.keyboard.press("j")
    expect(page.get_by_label("Opacity of the heatmap")).to_have_value("40")


def test_true_size_is_what_a_bank_card_says_of_the_screen(page: Page) -> None:
    press(page, "t")
    asked = page.get_by_role("group", name="Size of this screen")
    expect(asked).to_contain_text("Hold a bank card against the screen")
    card = page.get_by_label("Width of the card")
    card.fill("428")  # 85.6 mm: five pixels to a mm
    width = asked.locator(".card").bounding_box()
    assert width
    assert (round(width["width"]), round(width["height"])) == (428, 270)
    asked.get_by_role("button", name="As large as the card").click()
    expect(asked).to_be_hidden()
    complete(page)
    press(page, "l")
    drag(page, (100, 0))
    expect(page.locator(".viewer .status")).to_have_text("R MLO: 20.0 mm")
    page.reload()
    complete(page)
    press(page, "t", "l")
    expect(asked).to_be_hidden()
    drag(page, (50, 0))
    expect(page.locator(".viewer .status")).to_have_text("R MLO: 10.0 mm")
    press(page, "T")
    expect(card).to_have_value("428")
    press(page, "Escape")
    expect(asked).to_be_hidden()


def test_a_map_is_fetched_when_it_is_shown_for_the_first_time(page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "/maps/" in request.url else None)
    page.reload()
    complete(page)
    page.wait_for_load_state("networkidle")
    (first,) = fetched  # of what speaks for the class
    assert first.count("prototype=") == 2
    page.get_by_role("button", name="Show A in the views").press("Enter")
    expect(page.get_by_role("button", name="Evidence A on")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert len(fetched) == 2
    assert fetched[1].count("prototype=") == 1


def test_one_view_alone_and_the_list_of_keys(page: Page) -> None:
    press(page, "3")
    expect(page.locator(".pane:visible")).to_have_count(1)
    expect(page.locator(f".pane[data-title='{VIEW}']")).to_be_visible()
    press(page, "Escape")
    expect(page.locator(".pane:visible")).to_have_count(4)
    press(page, "?")
    expect(page.get_by_role("region", name="Keys")).to_contain_text("measure a length")
    press(page, "Escape")
    expect(page.get_by_role("region", name="Keys")).to_be_hidden()


def test_the_earlier_exam_hangs_beside_and_is_written_down(page: Page, exam: tuple[Browser, str, Path]) -> None:
    with open_room(exam[2]) as room:
        (before,) = (e for e in ledger_page(room, LedgerFilter(kind="prediction"), 0, 1).entries)
        assert not ledger_page(room, LedgerFilter(kind="exam opened", refers_to=before.number)).total
    page.locator(".viewer").get_by_role("button", name="Prior").click()
    expect(page.locator(".pane:visible canvas")).to_have_count(8)
    beside = page.get_by_role("img", name="R MLO, PRIOR, 2 YEARS 1 MONTH BEFORE")
    expect(beside).to_be_visible()
    complete(page)
    press(page, "3")
    expect(page.locator(".pane:visible canvas")).to_have_count(2)
    expect(beside).to_be_visible()
    press(page, "Escape", "p")
    expect(page.locator(".pane:visible canvas")).to_have_count(4)
    with open_room(exam[2]) as room:
        assert ledger_page(room, LedgerFilter(kind="exam opened", refers_to=before.number)).total == 1
