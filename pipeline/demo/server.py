"""The server of the page: a handful of routes around one model, for the visitors of one machine."""

import asyncio
import ipaddress
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.common.errors import UserError
from pipeline.demo.line import Line, LineFullError
from pipeline.demo.stories import Examples, TrainingFrames
from pipeline.demo.uploads import (
    MAX_CAPTION,
    MAX_PICTURE_BYTES,
    Asked,
    check_size,
    read_picture,
    read_story,
    shrunk,
)
from pipeline.images.reader import Place, read_images
from pipeline.predict.storyteller import Storyteller

CAPTIONS = 5
NEIGHBOURS = 4
MOST_STORIES = 16
"""That are taken at a time, one being captioned: their pictures wait in memory."""
MOST_PICTURES = 64
KEPT_PICTURES = 256
"""Of the stories at hand, as they were last shown: some tens of kilobytes each."""

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
BUG = "this is a fault of the program, not of your story; the terminal that it runs in says more"


@dataclass(frozen=True)
class Demo:
    """What the page has to show."""

    teller: Storyteller
    """To be used by one thread at a time."""
    data: Path
    """The data of a run; it need not be there."""
    examples: Examples | None = None
    training: TrainingFrames | None = None

    def about(self) -> dict[str, Any]:
        """What the page has to know before a visitor does anything."""
        return {
            "model": self.teller.folder.resolve().name,
            "k": self.teller.k,
            "needs_captions": not self.teller.does_without,
            "max_picture_bytes": MAX_PICTURE_BYTES,
            "max_caption": MAX_CAPTION,
            "examples": [asdict(story) for story in self.examples.stories] if self.examples else [],
            "training": self.training
            and {"stories": self.training.stories, "frames": len(self.training)},
        }

    def write(self, asked: Asked) -> dict[str, Any]:
        """Captions for a story, best first, and the training frames nearest to what they tell of.

        Raises UserError if a picture cannot be read, or the story is not whole.
        """
        pictures = [self._encoded(picture) for picture in asked.pictures]
        for number, picture in enumerate(pictures, 1):
            try:
                check_size(picture)
            except UserError as error:
                raise UserError(f"image {number}: {error}") from None
        context = self.teller.read(pictures, asked.captions)
        nearest = []
        if self.training:
            nearest = self.training.nearest(*self.teller.predict(context), NEIGHBOURS)
        return {
            "captions": [
                asdict(caption) for caption in self.teller.choose(context, CAPTIONS, asked.seed)
            ],
            "nearest": [asdict(neighbour) for neighbour in nearest],
        }

    def _encoded(self, picture: bytes | int) -> bytes:
        if isinstance(picture, bytes):
            return picture
        try:
            if self.examples is None:
                raise IndexError
            return self.read(self.examples.place(picture))
        except IndexError:
            raise UserError(f"the examples have no picture {picture}") from None

    def read(self, place: Place) -> bytes:
        """The encoded image at a place of the raw stories."""
        (encoded,) = read_images(self.data / "raw", [place])
        return encoded


def make_app(demo: Demo, host: str = "127.0.0.1") -> ASGIApp:
    """The whole server; `host` is the name or address that it listens at."""
    stories, pictures = Line("story", MOST_STORIES), Line("picture", MOST_PICTURES)
    shown = lru_cache(KEPT_PICTURES)(lambda place: shrunk(demo.read(place)))
    files = {route: _page_file(*file) for route, file in PAGE.items()}

    async def page(request: Request) -> Response:
        body, media_type = files[request.url.path]
        return Response(body, media_type=media_type)

    async def about(request: Request) -> Response:
        return JSONResponse(demo.about())

    async def known(request: Request) -> Response:
        kind, number = request.path_params["kind"], request.path_params["number"]
        source = {"examples": demo.examples, "training": demo.training}.get(kind)
        try:
            place = source.place(number) if source else None
        except IndexError:
            place = None
        if place is None:
            raise HTTPException(404, "there is no such picture")
        return _jpeg(await pictures.do("", partial(shown, place)))

    async def preview(request: Request) -> Response:
        return _jpeg(await pictures.do("", partial(shrunk, await read_picture(request))))

    async def captions(request: Request) -> Response:
        asked = await read_story(request, demo.teller.k)
        written = await _unless_gone(request, stories.do(asked.ticket, partial(demo.write, asked)))
        return Response(status_code=204) if written is None else JSONResponse(written)

    async def place(request: Request) -> Response:
        return JSONResponse({"place": stories.place(request.path_params["ticket"])})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        for line in (stories, pictures):
            line.close()

    app = Starlette(
        routes=[
            *(Route(path, page) for path in PAGE),
            Route("/about", about),
            Route("/pictures/{kind}/{number:int}", known),
            Route("/picture", preview, methods=["POST"]),
            Route("/captions", captions, methods=["POST"]),
            Route("/place/{ticket}", place),
        ],
        exception_handlers={
            UserError: lambda request, error: _refusal(400, str(error)),
            HTTPException: lambda request, error: _refusal(error.status_code, error.detail),
            LineFullError: lambda request, error: _refusal(
                503, "too many others are waiting already; try again in a minute"
            ),
            Exception: lambda request, error: _refusal(500, BUG),
        },
        lifespan=lifespan,
    )
    return Guard(app, host)


class Guard:
    """Answers this page alone: no other name of the machine, no other site's forms and scripts."""

    def __init__(self, app: ASGIApp, host: str):
        self._app = app
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of ASGI's."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._refused(scope["method"], Headers(scope=scope)) or self._app
        await app(scope, receive, guarded)

    def _refused(self, method: str, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _refusal(421, "the page is not served under this name; open it at localhost")
        if method not in ("GET", "HEAD") and headers.get("origin") != f"http://{host}":
            return _refusal(403, "only the page itself may ask for this")
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether no other site can have led a browser here under this name.

        A site can let its own name lead to this machine (DNS rebinding), but no address.
        """
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


async def _unless_gone(request: Request, work: Any) -> Any:
    """The result of `work`; None, and the work given up, if the visitor leaves before."""
    job = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        return job.result() if job.done() else None
    finally:
        job.cancel()
        gone.cancel()


def _page_file(name: str, media_type: str) -> tuple[bytes, str]:
    return resources.files(__package__).joinpath(name).read_bytes(), media_type


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg")


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
