"""What a visitor sends, bounded in size and number and held in memory alone."""

import io
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pipeline.common.errors import UserError
from pipeline.images.pixels import check, decode

MAX_PICTURE_BYTES = 20_000_000
MAX_MEGAPIXELS = 89.0
"""As `dataset.max_megapixels` is, unless it is changed: three bytes a pixel are held to decode."""
MAX_CAPTION = 4000
"""Characters; a decoder reads the first few dozen words."""
MAX_SEED = 2**31
SHOWN = 640
"""Longest side, in pixels, of a picture as the page shows it."""


@dataclass(frozen=True)
class Asked:
    """A story whose next caption is wanted."""

    pictures: list[bytes | int]
    """Encoded images, or numbers of pictures of the examples."""
    captions: list[str]
    seed: int
    ticket: str


async def read_story(request: Request, k: int) -> Asked:
    """Read a multipart form of `picture` and `caption`, K of each in order, `seed` and `ticket`.

    Raises:
        UserError: it is no such form, or a picture or a caption is too large.
        HTTPException: 413, the form as a whole is too large.
    """
    most = k * (MAX_PICTURE_BYTES + 4 * MAX_CAPTION) + 100_000
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise UserError("the request is not a form with pictures and captions")
    parser = _InMemory(
        request.headers,
        _bounded(request, most),
        max_files=k,
        max_fields=2 * k + 2,
        max_part_size=4 * MAX_CAPTION,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise UserError(f"the form cannot be read ({error.message.rstrip('.')})") from None
    try:
        pictures = [await _picture(part, i) for i, part in enumerate(form.getlist("picture"), 1)]
        captions = [str(part) for part in form.getlist("caption")]
        seed, ticket = (str(form.get(name, "")) for name in ("seed", "ticket"))
    finally:
        await form.close()
    for number, caption in enumerate(captions, 1):
        if len(caption) > MAX_CAPTION:
            raise UserError(
                f"the caption of frame {number} has {len(caption)} characters: "
                f"{MAX_CAPTION} are read at most, shorten it"
            )
    return Asked(pictures, captions, _number(seed, MAX_SEED), ticket)


async def read_picture(request: Request) -> bytes:
    """Read a request's body, an encoded image.

    Raises HTTPException 413 if it is too large.
    """
    return b"".join([chunk async for chunk in _bounded(request, MAX_PICTURE_BYTES)])


def check_size(encoded: bytes) -> None:
    """Decode an image to its last byte; raises UserError if that cannot be done, or is too much."""
    if len(encoded) > MAX_PICTURE_BYTES:
        raise UserError(_too_large(MAX_PICTURE_BYTES))
    check(encoded, MAX_MEGAPIXELS)


def shrunk(encoded: bytes) -> bytes:
    """A JPEG of an image as the model sees it: upright, on white, of an animation the first frame.

    Raises UserError if it cannot be decoded, or is too large.
    """
    check_size(encoded)
    image = decode(encoded)
    image.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


class _InMemory(MultiPartParser):
    """Starlette's, except that no file of a form ever goes to the disk."""

    spool_max_size = 0  # which is to say never


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """A request's body, as long as it is not too large."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise HTTPException(413, _too_large(most))
        yield chunk


async def _picture(part: UploadFile | str, number: int) -> bytes | int:
    if isinstance(part, str):
        return _number(part, MAX_SEED)
    encoded = await part.read()
    if len(encoded) > MAX_PICTURE_BYTES:
        raise UserError(f"image {number}: {_too_large(MAX_PICTURE_BYTES)}")
    return encoded


def _number(text: str, below: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) < below):
        raise UserError(f"{text[:20]!r} is no number from 0 to {below - 1}")
    return int(text)


def _too_large(most: int) -> str:
    return f"it has more than the {most / 1e6:.0f} MB that are taken; send a smaller one"
