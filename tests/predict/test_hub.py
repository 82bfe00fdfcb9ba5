"""A model pushed to a Hub and fetched from it."""

import pytest

from pipeline.common.errors import UserError
from pipeline.predict.storyteller import Storyteller
from tests.hub_server import serving
from tests.predict.conftest import CAPTIONS
from tests.pretrained.test_hub import online as online


def test_what_was_pushed_is_what_is_fetched(online, teller, pictures, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("---\nlicense: mit\n---\n# A model\n")
    with serving({}) as hub:
        online(hub.url)
        url = teller.push_to_hub("me/stories", card=card, token="hf_test")
        assert "me/stories/commit/" in url
        fetched = Storyteller.from_pretrained("me/stories")
    assert (fetched.folder / "README.md").read_text() == card.read_text()
    assert fetched.tell(pictures[:2], CAPTIONS) == teller.tell(pictures[:2], CAPTIONS)
    online(None)  # what was fetched once needs no network
    again = Storyteller.from_pretrained("me/stories")
    assert again.folder == fetched.folder


def test_a_hub_that_refuses_is_one_sentence(online, teller):
    online("http://127.0.0.1:1")
    with pytest.raises(UserError, match="me/stories could not be pushed"):
        teller.push_to_hub("me/stories", token="hf_test")
    with pytest.raises(UserError, match="me/stories is no model folder here"):
        Storyteller.from_pretrained("me/stories")
