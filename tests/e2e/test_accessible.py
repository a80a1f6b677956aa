"""No page has an accessibility violation that axe can find, or scrolls sideways, or a button that can't be pressed and doesn't say why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, TimeoutError

from finetune.demo.client import Client
from tests.e2e.browser import chromium
from tests.e2e.conftest import Stack
from tests.e2e.gallery import OUTSIDE, Filled, addresses, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(400)]

LOOKS = (("light", 1440, 900), ("dark", 390, 844))
BETWEEN = (1000, 768)  # widths at which a page must fit, too
LONG = "Qwen2.5-" + "AVeryLongNameWithoutSpaces" * 6 + "-<b>bold</b>"  # 176 characters


@pytest.fixture
def long_names(gallery: Client, filled: Filled) -> Iterator[None]:
    """What people call their things: as long as a name may be, without a space."""
    things = [f"/api/models/{filled.base}", f"/api/models/{filled.tuned}", f"/api/datasets/{filled.dataset}"]
    before = {thing: gallery.call("GET", thing)["name"] for thing in things}
    for thing in things:
        gallery.call("PATCH", thing, json={"name": LONG})
    yield
    for thing, name in before.items():
        gallery.call("PATCH", thing, json={"name": name})


@pytest.mark.usefixtures("long_names")
def test_every_page_can_be_used_by_everybody(stack: Stack, filled: Filled) -> None:
    with chromium() as browser:
        found = [problem for look in LOOKS for problem in _walk(browser, stack, addresses(filled), *look)]
    assert found == []


def test_the_apis_pages_ask_nobody_else_and_run_nothing_inline(stack: Stack) -> None:
    """Swagger UI and ReDoc draw every operation under the same policy as all pages, and nothing goes to another host."""
    told: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda asked: told.append(asked.url) if stack.url not in asked.url else None)
        for path in ("/api/redoc", "/api/docs"):
            policy = page.goto(stack.url + path).headers["content-security-policy"]  # type: ignore[union-attr]
            assert "unsafe" not in policy and "script-src 'self';" in policy
            last = "[data-section-id$='openai_delete_model']" if path == "/api/redoc" else "#operations-Account-auth_api_keys"
            page.locator(last).first.wait_for(state="attached", timeout=60_000)
        page.locator("#operations-Account-auth_api_keys .opblock-summary-control").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        page.locator(".live-responses-table").get_by_text("not_authenticated").first.wait_for()
    assert [text for text in told if "401" not in text] == []  # the console repeats the answer that was asked for


def _walk(browser: Browser, stack: Stack, pages: dict[str, str], scheme: str, width: int, height: int) -> list[str]:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page, found = context.new_page(), []
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
    axe = Axe()
    for name in sorted(pages, key=lambda name: name not in OUTSIDE):
        if name == "home":
            sign_in(page, stack.url, "gallery")
        page.goto(stack.url + pages[name])
        assert page.url.endswith(pages[name]), f"{name} sent us to {page.url}"
        found += [f"{name} ({scheme}, {width}): {problem}" for problem in _problems(page, axe)]
        found += [f"{name}: {problem}" for between in BETWEEN if width > between for problem in _too_wide(page, between)]
        page.set_viewport_size({"width": width, "height": height})
    context.close()
    return found


# A button that can't be pressed says why: beside it, or on hover.
UNEXPLAINED = """all => all.filter(it => !(it.ariaDescribedByElements?.length || it.title || it.parentElement.querySelector(".hint")))
  .map(it => it.outerHTML.slice(0, 160))"""


def _problems(page: Page, axe: Axe) -> list[str]:
    page.wait_for_timeout(150)  # colours that fade are judged where they end
    violations = axe.run(page).response["violations"]
    problems = [f"{item['id']}: {node['html'][:200]}" for item in violations for node in item["nodes"]]
    problems += [f"no reason: {html}" for html in page.locator("button:disabled:visible").evaluate_all(UNEXPLAINED)]
    return problems + _too_wide(page)


def _too_wide(page: Page, width: int = 0) -> list[str]:
    """How far the page reaches beyond the screen, or beyond one of `width`."""
    if width:
        page.set_viewport_size({"width": width, "height": 900})
    beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with contextlib.suppress(TimeoutError):  # charts are drawn anew a moment after their room has changed
        page.wait_for_function(f"() => {beyond} <= 0", timeout=2000)  # an expression would be compiled again, which pages forbid
    wide = page.evaluate(beyond)
    return [f"is {wide} px wider than {width or 'the screen'}"] if wide > 0 else []
