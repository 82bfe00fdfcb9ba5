"""What the server answers: captions, pictures by number, and sentences for everything else."""

import asyncio
import copy
import io
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from pipeline.common.errors import UserError
from pipeline.demo.server import BUG, CAPTIONS, NEIGHBOURS, Demo, make_app
from pipeline.demo.stories import Examples, TrainingFrames
from pipeline.demo.uploads import MAX_CAPTION, MAX_PICTURE_BYTES
from pipeline.predict.storyteller import Storyteller
from tests.demo.conftest import ATTACK, FRAMES, TRAIN, Visit, caption, picture
from tests.predict.conftest import CAPTIONS as WORDS
from tests.predict.conftest import K
from tests.world import jpeg

PICTURES = [jpeg(100 + number) for number in range(K)]


def ask(client: TestClient, pictures: list, captions: list[str] = WORDS, seed: object = 0) -> Any:
    """Post a story as the page does."""
    sent = [
        ("picture", (f"{i}.jpg", part) if isinstance(part, bytes) else (None, str(part)))
        for i, part in enumerate(pictures)
    ]
    fields = [("caption", text) for text in captions] + [("seed", str(seed)), ("ticket", "7")]
    return client.post("/captions", files=[*sent, *((k, (None, v)) for k, v in fields)])


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.fixture
def client(visit: Visit, demo: Demo) -> TestClient:
    return visit(demo)


def test_captions_are_those_of_the_storyteller(client: TestClient, teller: Storyteller) -> None:
    answer = ask(client, PICTURES, seed=3)
    assert answer.status_code == 200
    expected = teller.alternatives(PICTURES, WORDS, CAPTIONS, seed=3)
    assert answer.json()["captions"] == [asdict(alternative) for alternative in expected]
    assert ask(client, PICTURES, seed=4).json() != answer.json()


def test_the_nearest_frames_are_those_that_training_went_on_with(
    client: TestClient, teller: Storyteller
) -> None:
    image, text = teller.predict(teller.read(PICTURES, WORDS))
    best = {}
    for story in range(TRAIN - 1):  # the last one is in val
        targets = range(K, FRAMES)
        pixels = np.stack([teller.clip.preprocess(picture(story, i)) for i in targets])
        texts = teller.clip.encode_texts([caption(story, i) for i in targets])
        cosines = (teller.clip.encode_images(pixels) @ image + texts @ text) / 2
        best[f"train-{story}"] = float(cosines.max())
    nearest = ask(client, PICTURES).json()["nearest"]
    assert [near["story_id"] for near in nearest] == sorted(best, key=lambda story: -best[story])[
        :NEIGHBOURS
    ]
    for near in nearest:
        story, frame = int(near["story_id"].removeprefix("train-")), near["frame"] - 1
        assert frame >= K
        assert near["cosine"] == pytest.approx(best[near["story_id"]], abs=2e-3)
        assert near["caption"] == caption(story, frame)
        shown = client.get(f"/pictures/training/{near['picture']}").content
        pixels = np.asarray(Image.open(io.BytesIO(shown)), np.float32)
        original = np.asarray(Image.open(io.BytesIO(picture(story, frame))), np.float32)
        assert np.abs(pixels - original).mean() < 4


def test_an_example_is_its_own_pictures_by_number(client: TestClient) -> None:
    about = client.get("/about").json()
    assert about["k"] == K and about["training"] == {"stories": TRAIN - 1, "frames": 10}
    assert [example["story_id"] for example in about["examples"]] == ["test-0", "test-1", "test-2"]
    example = about["examples"][1]
    assert example["reference"] == ATTACK
    own = [picture(21, i) for i in range(K)]
    numbered = ask(client, example["pictures"], example["captions"])
    assert numbered.status_code == 200
    assert numbered.json() == ask(client, own, example["captions"]).json()
    mixed = ask(client, [example["pictures"][0], own[1]], example["captions"])
    assert mixed.json() == numbered.json()


def test_a_model_alone_is_enough(visit: Visit, teller: Storyteller, tmp_path: Path) -> None:
    client = visit(Demo(teller, tmp_path))
    about = client.get("/about").json()
    assert (about["examples"], about["training"]) == ([], None)
    answer = ask(client, PICTURES).json()
    assert len(answer["captions"]) == CAPTIONS and answer["nearest"] == []
    assert ask(client, [0, 1]).json() == {"error": "the examples have no picture 0"}


def test_data_of_another_model_are_refused(data: Path) -> None:
    with pytest.raises(UserError, match=r"predictions\.jsonl is of a model that reads another"):
        Examples(data, K + 1)
    with pytest.raises(UserError, match="is of another CLIP than the model"):
        TrainingFrames(data, K, {"image": "0", "text": "0"})


@pytest.mark.parametrize(
    ("pictures", "captions", "sentence"),
    [
        ([PICTURES[0], b"no picture"], WORDS, "image 2: the image cannot be decoded (it is none"),
        ([PICTURES[0], PICTURES[1][:-400]], WORDS, "image 2: the image cannot be decoded"),
        ([PICTURES[0], b"%!PS-Adobe-3.0 EPSF-3.0\n"], WORDS, "image 2: the image is EPS"),
        ([PICTURES[0], b""], WORDS, "image 2: the image cannot be decoded"),
        (PICTURES[:1], WORDS[:1], f"the model was trained to read {K} frames and has been given 1"),
        (PICTURES, WORDS[:1], "there are 2 images and 1 captions"),
        (PICTURES, [WORDS[0], " \n"], "frame 2 has no caption"),
        (PICTURES, [WORDS[0], "a" * (MAX_CAPTION + 1)], "the caption of frame 2 has 4001"),
        (PICTURES, [WORDS[0], "a" * 10**6], "the form cannot be read (Part exceeded"),
        ([*PICTURES, PICTURES[0]], WORDS, "the form cannot be read (Too many files"),
        (PICTURES, WORDS * 9, "the form cannot be read (Too many fields"),
        ([0, 99], WORDS, "the examples have no picture 99"),
        ([0, -1], WORDS, "'-1' is no number"),
        ([0, "../raw/train"], WORDS, "'../raw/train' is no number"),
        ([0, "٣"], WORDS, "'٣' is no number"),
    ],
)
def test_what_cannot_be_captioned_is_a_sentence(
    client: TestClient, pictures: list, captions: list[str], sentence: str
) -> None:
    answer = ask(client, pictures, captions)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


def test_a_request_that_is_no_form_is_a_sentence(client: TestClient) -> None:
    for content_type in ("application/json", "multipart/form-data", ""):
        answer = client.post("/captions", content=b"{}", headers={"content-type": content_type})
        assert answer.status_code == 400 and "form" in answer.json()["error"]
    assert ask(client, PICTURES, seed="one").json()["error"].startswith("'one' is no number")


def test_uploads_are_bounded(client: TestClient) -> None:
    large = bytes(MAX_PICTURE_BYTES + 1)
    answer = client.post("/picture", content=large)
    assert answer.status_code == 413 and "20 MB" in answer.json()["error"]
    answer = ask(client, [PICTURES[0], large])
    assert answer.status_code == 400 and answer.json()["error"].startswith("image 2: it has more")
    assert ask(client, [large * 2, large]).status_code == 413
    many = encoded(Image.new("1", (9_440, 9_450)))
    for answer in (client.post("/picture", content=many), ask(client, [PICTURES[0], many])):
        assert answer.status_code == 400
        assert answer.json()["error"].endswith("pixels, more than 89 million; scale it down")


def test_uploads_are_never_written(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    large = encoded(Image.effect_noise((1500, 1000), 50).convert("RGB"), "BMP")
    assert len(large) > 4_000_000
    assert ask(client, [large, large]).status_code == 200
    assert client.post("/picture", content=large).status_code == 200


def test_a_preview_is_what_the_model_sees(client: TestClient) -> None:
    image = Image.new("RGBA", (1600, 800), (255, 0, 0, 0))
    turned = Image.Exif()
    turned[0x0112] = 6
    answer = client.post("/picture", content=encoded(image, "PNG", exif=turned))
    preview = Image.open(io.BytesIO(answer.content))
    assert (preview.format, preview.size) == ("JPEG", (320, 640))
    assert preview.convert("L").getpixel((5, 5)) > 250  # on white
    broken = client.post("/picture", content=PICTURES[0][:-300])
    assert broken.status_code == 400
    assert broken.json()["error"].startswith("the image cannot be decoded")


@pytest.mark.parametrize(
    "path",
    [
        *("/pictures/examples/9", "/pictures/training/10", "/pictures/raw/0"),
        *("/pictures/examples/-1", "/pictures/training/..%2f..%2fstories", "/page.html"),
        *("/../server.py", "/server.py", "/pictures"),
    ],
)
def test_there_is_nothing_but_pictures_by_number(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "error" in answer.json()


@pytest.mark.parametrize(
    ("host", "served"),
    [
        *[(host, True) for host in ("127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765")],
        *[(host, True) for host in ("192.168.0.7:8765", "[::1]")],
        *[
            (host, False)
            for host in ("evil.example", "evil.example:8765", "localhost.evil.example")
        ],
        *[(host, False) for host in ("", "127.0.0.1.evil.example", "127.0.0.1@evil.example")],
    ],
)
def test_no_other_name_leads_here(client: TestClient, host: str, served: bool) -> None:
    for path in ("/", "/about", "/nothing"):
        answer = client.get(path, headers={"host": host})
        assert (answer.status_code == 421) is not served


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "https://127.0.0.1:8765", "http://127.0.0.1"]
)
def test_no_other_site_may_post(client: TestClient, origin: str) -> None:
    for path in ("/captions", "/picture"):
        answer = client.post(path, content=PICTURES[0], headers={"origin": origin})
        assert answer.status_code == 403
        assert answer.json() == {"error": "only the page itself may ask for this"}


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    for path, kind in (("/", "html"), ("/page.css", "css"), ("/page.js", "javascript")):
        answer = client.get(path)
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        assert not re.search(r"https?:|//[a-z]|@import|url\(", answer.text)
    for path in ("/", "/about", "/pictures/training/0", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_fault_of_ours_shows_no_more_than_that(visit: Visit, demo: Demo) -> None:
    teller = copy.copy(demo.teller)
    del teller.captioner
    answer = ask(visit(replace(demo, teller=teller), raise_server_exceptions=False), PICTURES)
    assert (answer.status_code, answer.json()) == (500, {"error": BUG})
    assert "content-security-policy" in answer.headers
    with pytest.raises(AttributeError):  # it goes on to uvicorn, which prints its traceback
        ask(visit(replace(demo, teller=teller)), PICTURES)


def test_a_visitor_who_leaves_is_let_go(demo: Demo) -> None:
    fields = [("picture", "0"), ("picture", "1"), *(("caption", text) for text in WORDS)]
    form = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in [*fields, ("seed", "0")]
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/captions",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"origin", b"http://localhost"),
            (b"content-type", b"multipart/form-data; boundary=x"),
        ],
    }
    body = f"{form}--x--\r\n".encode()
    received = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
    sent = []

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(make_app(demo)(scope, receive, send))
    assert sent[0]["status"] == 204


def test_a_ticket_without_work_has_no_place(client: TestClient) -> None:
    assert client.get("/place/7").json() == {"place": None}
