"""The page in a real Chromium that reaches nothing but this server."""

import base64
import copy
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, expect

from pipeline.demo.server import CAPTIONS, NEIGHBOURS, Demo, make_app
from pipeline.predict.storyteller import Storyteller
from tests.browser import NEEDS_CHROMIUM, chromium
from tests.demo.conftest import ATTACK
from tests.predict.conftest import CAPTIONS as WORDS
from tests.predict.conftest import K
from tests.world import jpeg

WRITE = "Write the next caption"
EXPECTED = ("the server responded with a status of 400", "net::ERR_CONNECTION_REFUSED")
"""What Chromium itself notes of answers that some tests ask for."""

pytestmark = NEEDS_CHROMIUM


@contextmanager
def serving(demo: Demo) -> Iterator[str]:
    """The page at an address of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(make_app(demo), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def address(demo: Demo) -> Iterator[str]:
    with serving(demo) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


Open = Callable[..., Page]


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Open]:
    """`visitor(address)` opens the page; that it asks elsewhere, or complains, fails the test."""
    contexts = []
    elsewhere: list[str] = []
    complaints: list[str] = []

    def local_alone(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    def open_page(address: str, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        contexts.append(context)
        context.route(lambda url: not url.startswith(("blob:", "data:")), local_alone)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        expect(page.locator(".frame")).to_have_count(K)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert [text for text in complaints if not any(part in text for part in EXPECTED)] == []


def upload(page: Page, frame: int, name: str, content: bytes) -> None:
    """Choose a file in a frame, counted from 1."""
    chosen = {"name": name, "mimeType": "image/jpeg", "buffer": content}
    page.locator(".frame").nth(frame - 1).locator("input").set_input_files([chosen])


def fill(page: Page, seeds: tuple[int, ...] = (100, 101)) -> None:
    """A picture and a caption in every frame."""
    for number, seed in enumerate(seeds, 1):
        upload(page, number, f"{seed}.jpg", jpeg(seed))
        page.get_by_label(f"Caption of frame {number}").fill(WORDS[number - 1])
    expect(page.locator(".frame img:visible")).to_have_count(K)


def captions(page: Page) -> list[str]:
    return [page.get_by_label(f"Caption of frame {n}").input_value() for n in range(1, K + 1)]


def written(page: Page) -> list[str]:
    """All the captions that the page shows, best first."""
    done = re.compile(rf"^{CAPTIONS} captions in")
    expect(page.locator(".status")).to_have_text(done, timeout=60_000)
    return [
        page.locator(".best").inner_text(),
        *page.locator(".alternatives .said").all_inner_texts(),
    ]


def test_pictures_and_captions_in_captions_out(
    visitor: Open, address: str, teller: Storyteller
) -> None:
    page = visitor(address)
    assert page.locator("h1").inner_text() == "Two pictures in, the next caption out"
    fill(page)
    pictures = [jpeg(100), jpeg(101)]
    for button, seed in ((WRITE, 0), ("Draw others", 1)):
        # Before, since one thread at a time may use a storyteller.
        expected = teller.alternatives(pictures, WORDS, CAPTIONS, seed)
        page.get_by_role("button", name=button).click()
        assert written(page) == [" ".join(a.caption.split()) for a in expected]
        best = expected[0]
        facts = f"score {best.score:.2f} · {best.nll:.2f} nats a token"
        expect(page.locator(".best-facts")).to_contain_text(facts)
    near = page.locator(".neighbours li")
    expect(near).to_have_count(NEIGHBOURS)
    assert (
        near.locator("img").evaluate_all(
            "images => Promise.all(images.map((i) => i.decode().then(() => i.naturalWidth)))"
        )
        == [80] * NEIGHBOURS
    )
    page.get_by_label("Caption of frame 1").fill("Something else.")
    expect(page.locator(".outdated")).to_be_visible()


def test_a_broken_file_is_named_and_a_good_one_takes_its_place(visitor: Open, address: str) -> None:
    page = visitor(address)
    upload(page, 2, "torn.jpg", jpeg(1)[:-300])
    alert = page.locator(".frame .problem").nth(1)
    expect(alert).to_contain_text("torn.jpg: The image cannot be decoded")
    page.get_by_label("Caption of frame 1").fill("One.")
    page.get_by_role("button", name=WRITE).click()
    expect(page.locator("form > .problem")).to_have_text("Frame 1 has no picture yet.")
    assert (
        page.evaluate("document.activeElement.getAttribute('aria-label')") == "Picture of frame 1"
    )
    fill(page)
    expect(alert).to_be_empty()
    page.get_by_role("button", name=WRITE).click()
    assert len(written(page)) == CAPTIONS
    expect(page.locator("form > .problem")).to_be_empty()


def test_frames_change_places_by_keyboard_and_by_dragging(visitor: Open, address: str) -> None:
    page = visitor(address)
    fill(page)
    names = [f"Frame {n}: {seed}.jpg" for n, seed in ((1, 101), (2, 100))]
    page.get_by_role("button", name="Move frame 1 later").focus()
    page.keyboard.press("Enter")
    assert captions(page) == WORDS[::-1]
    assert page.locator(".frame img").evaluate_all("all => all.map((i) => i.alt)") == names
    expect(page.locator(".status")).to_have_text("Frame moved to place 2 of 2.")
    # the focus goes with the frame
    assert page.evaluate("document.activeElement.title") == "Move frame 2 later"
    grip = page.locator(".grip").first.bounding_box()
    target = page.locator(".frame").nth(1).bounding_box()
    assert grip and target
    page.mouse.move(grip["x"] + 9, grip["y"] + 9)
    page.mouse.down()
    page.mouse.move(target["x"] + 60, target["y"] + 90, steps=5)
    page.mouse.up()
    assert captions(page) == WORDS
    page.get_by_role("button", name="Clear frame 1").press("Enter")
    assert captions(page) == ["", WORDS[1]]
    expect(page.locator(".frame img:visible")).to_have_count(1)


def test_all_of_it_goes_by_keyboard(visitor: Open, address: str) -> None:
    page = visitor(address)
    page.get_by_role("button", name="Take story test-1").press("Enter")
    assert page.evaluate("document.activeElement.textContent") == WRITE
    page.get_by_label("Caption of frame 2").focus()
    page.keyboard.press("Control+Enter")
    written(page)
    assert page.evaluate("document.activeElement.id") == "result-title"


def test_dropped_pictures_find_their_places_in_natural_order(visitor: Open, address: str) -> None:
    page = visitor(address)
    files = [
        (name, base64.b64encode(jpeg(n)).decode()) for n, name in enumerate(("b10", "b9", "c"))
    ]
    page.evaluate(
        """async (files) => {
          const data = new DataTransfer();
          for (const [name, text] of files) {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            data.items.add(new File([bytes], `${name}.jpg`, { type: "image/jpeg" }));
          }
          for (const kind of ["dragover", "drop"]) {
            document.querySelector("h1").dispatchEvent(
              new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
          }
        }""",
        files,
    )
    expect(page.locator(".frame img:visible")).to_have_count(K)
    names = page.locator(".frame img").evaluate_all("all => all.map((i) => i.alt)")
    assert names == ["Frame 1: b9.jpg", "Frame 2: b10.jpg"]
    expect(page.locator("form > .problem")).to_contain_text("1 picture found no place")


def test_markup_in_captions_is_shown_as_text(visitor: Open, address: str) -> None:
    page = visitor(address)
    page.get_by_role("button", name="Take story test-0").click()
    page.get_by_role("button", name=WRITE).click()
    written(page)
    page.get_by_text("What really came next").click()
    expect(page.locator(".truth figcaption")).to_have_text(ATTACK, use_inner_text=True)
    expect(page.locator(".neighbours .said", has_text=ATTACK)).to_have_count(NEIGHBOURS)
    assert page.locator("b", has_text="bold").count() == 0
    assert page.evaluate("window.attacked") is None


def test_two_visitors_wait_their_turn_and_each_has_its_own(visitor: Open, demo: Demo) -> None:
    teller = copy.copy(demo.teller)
    # long enough for a page to see that it waits
    teller.generate = teller.generate.model_copy(update={"max_new_tokens": 150})
    with serving(replace(demo, teller=teller)) as address:
        pages = [visitor(address), visitor(address)]
        for page, seeds in zip(pages, ((100, 101), (102, 103)), strict=True):
            fill(page, seeds)
            page.evaluate(
                """() => {
                  window.seen = new Set();
                  const status = document.querySelector(".status");
                  new MutationObserver(() => window.seen.add(status.textContent))
                    .observe(status, { childList: true });
                }"""
            )
        for page in pages:
            page.get_by_role("button", name=WRITE).click()
        found = [written(page) for page in pages]
        assert "In line: 1 story is before yours." in pages[1].evaluate("[...window.seen]")
    for shown, seeds in zip(found, ((100, 101), (102, 103)), strict=True):
        expected = teller.alternatives([jpeg(seed) for seed in seeds], WORDS, CAPTIONS)
        assert shown == [a.caption for a in expected]
    assert found[0] != found[1]


def test_a_phone_needs_no_sideways_scrolling(visitor: Open, address: str) -> None:
    for width, scheme in ((360, "light"), (390, "dark"), (820, "dark")):
        page = visitor(address, color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        page.get_by_role("button", name="Take story test-2").click()
        page.get_by_role("button", name=WRITE).click()
        written(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(251, 250, 247)" if scheme == "light" else "rgb(21, 23, 26)")


def test_a_server_that_has_ended_is_a_sentence(visitor: Open, demo: Demo) -> None:
    with serving(demo) as address:
        page = visitor(address)
        page.get_by_role("button", name="Take story test-0").click()
        expect(page.locator(".frame img:visible")).to_have_count(K)
        page.wait_for_load_state("networkidle")
    page.get_by_role("button", name=WRITE).click()
    expect(page.locator("form > .problem")).to_contain_text("The server does not answer")
