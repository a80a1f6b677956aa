"""What holds for every page: it can be read without JavaScript, walked by keyboard, and is light."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import chromium
from tests.e2e.conftest import Stack
from tests.e2e.gallery import OUTSIDE, Filled, addresses, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(300)]

MAIN = ("home", "datasets", "dataset", "models", "model", "jobs", "job draft", "job-new", "queue", "analytics", "settings", "help")
STOPS = 30
# Where the focus is: is it drawn, is it on the screen, and is what has it visible?
FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  const drawn = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const there = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return { name: at.outerHTML.slice(0, 160), drawn, there, body: at === document.body };
}"""


def test_every_page_can_be_read_without_javascript(stack: Stack, filled: Filled) -> None:
    with chromium() as browser:
        context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
        page, found = _signed_in(context, stack), []
        for name, path in addresses(filled).items():
            if name not in OUTSIDE:
                answer = page.goto(stack.url + path)
                assert answer and answer.ok and page.url.endswith(path), f"{name} sent us to {page.url}"
                found += [f"{name}: {problem}" for problem in _dead_without_scripts(page)]
    assert found == []


def _signed_in(context: BrowserContext, stack: Stack) -> Page:
    page = context.new_page()
    sign_in(page, stack.url, "gallery")
    return page


def _dead_without_scripts(page: Page) -> list[str]:
    """No heading; or a button that only a script answers and that says so nowhere."""
    buttons = page.locator("button[type=button]:visible:enabled, [data-do]:visible").evaluate_all(
        "all => all.map(it => it.outerHTML)"
    )
    return [f"does nothing: {html[:160]}" for html in buttons] + ([] if page.locator("h1").first.is_visible() else ["no heading"])


def test_the_keyboard_reaches_everything(stack: Stack, filled: Filled) -> None:
    with chromium() as browser:
        page = _signed_in(browser.new_context(viewport={"width": 1440, "height": 900}), stack)
        found = [f"{name}: {problem}" for name in MAIN for problem in _walk(page, stack.url + addresses(filled)[name])]
        assert found == []
        _dialog_holds_the_focus(page, stack.url + addresses(filled)["job draft"])
        _menu_opens_and_closes(page)


def _walk(page: Page, address: str) -> list[str]:
    """Tab by Tab from the top: the first stop leads past the navigation, and every stop can be seen."""
    page.goto(address)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    problems = []
    for stop in range(STOPS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["body"]:
            assert stop, f"{address}: nothing on the page can be reached"
            break
        if not (focus["drawn"] and focus["there"]):
            problems.append(f"{'not on the screen' if focus['drawn'] else 'not drawn'}: {focus['name']}")
    return problems


def _dialog_holds_the_focus(page: Page, address: str) -> None:
    page.goto(address)
    delete = page.get_by_role("button", name="Delete")
    delete.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(delete).to_be_focused()


def _menu_opens_and_closes(page: Page) -> None:
    summary = page.locator(".sidebar .menu > summary")
    summary.press("Enter")
    panel = page.locator(".sidebar .menu-panel")
    expect(panel).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('.menu-panel')")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(summary).to_be_focused()


def test_the_first_page_is_light(stack: Stack, filled: Filled) -> None:
    with chromium() as browser:
        for path in ("/register", "/"):
            assert 10_000 < _bytes_of_the_first_visit(browser, stack, path) < 150_000


def _bytes_of_the_first_visit(browser: Browser, stack: Stack, path: str) -> int:
    """What comes over the wire, as compressed as the server sends it, with an empty cache."""
    signed_in = browser.new_context()
    if path == "/":
        _signed_in(signed_in, stack)
    page = browser.new_context(storage_state=signed_in.storage_state()).new_page()
    network, sizes = page.context.new_cdp_session(page), []
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(stack.url + path, wait_until="networkidle")
    return int(sum(sizes))


def test_charts_are_drawn_as_chosen_the_last_time(stack: Stack, filled: Filled) -> None:
    with chromium() as browser:
        page = _signed_in(browser.new_context(viewport={"width": 1440, "height": 900}), stack)
        page.goto(stack.url + addresses(filled)["job"])
        for name in ("Tokens", "Log"):
            page.get_by_role("button", name=name, exact=True).click()
        page.get_by_label("Without outliers").check()
        page.reload()
        for name in ("Tokens", "Log"):
            expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_label("Without outliers")).to_be_checked()
        page.evaluate("localStorage.setItem('charts', JSON.stringify({ axis: 'moon', weight: 7 }))")
        page.reload()
        expect(page.get_by_role("button", name="Step", exact=True)).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_label("Smoothing")).to_have_value("0.6")
