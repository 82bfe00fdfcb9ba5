"""The page in a real Chromium: it shows, filters, orders and searches, and asks for nothing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import NEEDS_CHROMIUM, chromium
from tests.report.conftest import Evaluation, write_evaluation

ATTACK = (
    "</script><script>window.attacked = 1</script>"
    "<img src=x onerror='window.attacked = 2'> \"double\" 'single' <b>bold</b> &lt;i&gt;"
)

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Six test stories, three of val; the first test story attacks, another has accents."""
    attack = {"prediction": ATTACK, "reference": ATTACK, "context": [ATTACK] * 4}
    changes = {
        0: attack | {"story_id": ATTACK},
        1: {"prediction": "Zoë brewed a CAFÉ crème for the lighthouse keeper."},
    }
    evaluation = write_evaluation(tmp_path_factory.mktemp("browser"), changes=changes)
    evaluation.report()
    return evaluation


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, evaluation: Evaluation) -> Iterator[Page]:
    """The opened page; whatever it asks for besides itself, or complains of, fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    address = evaluation.page.as_uri()
    page.goto(address)
    yield page
    elsewhere = [url for url in asked if url != address and not url.startswith("data:")]
    assert elsewhere == []
    assert complaints == []
    context.close()


def shown(page: Page) -> list[str]:
    """Names of the visible stories, from the top."""
    return page.locator(".card:not([hidden]) h3").all_text_contents()


def scores(page: Page, of: str) -> list[float]:
    cards = page.locator(".card:not([hidden])")
    return cards.evaluate_all(f"cards => cards.map((card) => Number(card.dataset.{of}))")


def test_it_renders_with_all_its_pictures(page: Page) -> None:
    assert page.locator("h1").inner_text().startswith("A model reads the first four frames")
    assert page.locator(".headlines .big").count() == 4
    assert page.locator(".charts svg circle").count() > 8
    widths = page.locator("img").evaluate_all(
        "images => Promise.all(images.map((i) => i.decode().then(() => i.naturalWidth)))"
    )
    assert len(widths) == 9 * 5 + 3
    assert all(width in (300, 480) for width in widths)
    assert page.evaluate("getComputedStyle(document.querySelector('.strip')).display") == "flex"


def test_filters_and_orders(page: Page) -> None:
    assert len(shown(page)) == 6
    assert page.locator(".count").inner_text() == "6 stories"
    page.get_by_label("Stories of which split").select_option("")
    assert len(shown(page)) == 9
    page.get_by_label("Stories of which split").select_option("val")
    assert sorted(shown(page)) == ["val-0", "val-1", "val-2"]
    page.get_by_label("Show which stories").select_option("unfinished")
    assert shown(page) == ["val-1"]
    page.get_by_label("Stories of which split").select_option("test")
    page.get_by_label("Show which stories").select_option("")

    page.get_by_text("Best", exact=True).click()
    assert scores(page, "score") == sorted(scores(page, "score"), reverse=True)
    page.get_by_text("Worst", exact=True).click()
    assert scores(page, "score") == sorted(scores(page, "score"))
    page.get_by_text("Best", exact=True).click()
    page.get_by_label("Best and worst by").select_option("rank")
    assert scores(page, "rank") == [1, 2, 3, 4, 5, 6]


def test_searches_all_captions_without_regard_to_case_and_accents(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("cafe KEEPER")
    assert shown(page) == ["test-1"]
    assert page.locator(".count").inner_text() == "1 story"
    page.keyboard.press("Escape")
    assert len(shown(page)) == 6
    search = page.get_by_label("Search all captions")
    search.fill('"story 4" frame')
    assert shown(page) == ["test-4"]
    search.fill("no caption says so")
    assert shown(page) == []
    page.get_by_role("button", name="Show all").click()
    assert len(shown(page)) == 6


def test_keys_go_from_story_to_story(page: Page) -> None:
    names = shown(page)

    def current() -> str:
        return page.evaluate("document.activeElement.querySelector('h3').textContent")

    visited = []
    for key in ("j", "ArrowRight", "j", "k", "ArrowLeft", "k"):
        page.keyboard.press(key)
        visited.append(current())
    assert visited == [names[i] for i in (0, 1, 2, 1, 0, 0)]
    assert page.evaluate("Math.abs(document.activeElement.getBoundingClientRect().top) < 200")
    page.keyboard.press("e")
    assert page.locator(".card.open").count() == 1
    # a button of the order leaves the letters to the stories
    page.get_by_text("Worst", exact=True).click()
    worst = shown(page)
    page.keyboard.press("k")
    assert current() == worst[max(worst.index(names[0]) - 1, 0)]
    # in the search field the same keys are letters
    page.keyboard.press("/")
    page.keyboard.type("jek")
    assert page.get_by_label("Search all captions").input_value() == "jek"


def test_markup_and_scripts_in_captions_are_shown_as_text(page: Page) -> None:
    page.get_by_label("Search all captions").fill("window.attacked")
    card = page.locator(".card:visible")
    expect(card).to_have_count(1)
    card.scroll_into_view_if_needed()  # a card off the screen is not laid out: it has no text yet
    expect(card.locator("h3")).to_have_text(ATTACK, use_inner_text=True)
    said = card.locator(".said p")
    expect(said).to_have_text([ATTACK] * said.count(), use_inner_text=True)
    assert said.count() >= 2
    page.keyboard.press("Escape")
    assert page.evaluate("window.attacked") is None
    assert page.locator("script").count() == 1
    assert page.locator(".card .said b, .card i").count() == 0


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, evaluation: Evaluation) -> None:
    for width, scheme in ((360, "light"), (390, "dark"), (820, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.goto(evaluation.page.as_uri())
        page.wait_for_selector(".tools:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(251, 250, 247)" if scheme == "light" else "rgb(21, 23, 26)")
        page.close()


def test_without_script_every_story_is_there(browser: Browser, evaluation: Evaluation) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(evaluation.page.as_uri())
    assert page.locator(".card:visible").count() == 9
    assert page.locator(".tools:visible").count() == 0
    context.close()
