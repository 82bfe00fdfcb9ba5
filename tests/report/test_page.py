"""The page as a file: self-contained, the same bytes each time, and safe whatever captions hold."""

import base64
import hashlib
import json
import re
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli.compare import compare, read_predictions
from pipeline.cli.storyboard import draw_storyboard, find_prediction
from pipeline.common.checksums import write_sums
from pipeline.common.errors import UserError
from tests.report.conftest import Evaluate, Evaluation, prediction, write_evaluation

NASTY = (
    "</script><script>document.title='x'</script><img src=x onerror=alert(1)> "
    "\"q\" 'q' &amp; {{ 7*7 }}"
)


class Page(HTMLParser):
    """Elements with their attributes, and the text of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.contents: dict[str, list[str]] = {"style": [], "script": []}
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag
        if tag in self.contents:
            self.contents[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.contents:
            self.contents[self._inside][-1] += data


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return write_evaluation(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def html(evaluation: Evaluation) -> str:
    return evaluation.report()


def test_every_story_is_there_with_its_pictures_and_captions(html: str) -> None:
    page = Page(html)
    cards = [attributes for tag, attributes in page.tags if attributes.get("class") == "card"]
    assert len(cards) == 9
    assert [card["data-split"] for card in cards] == ["test"] * 6 + ["val"] * 3
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 9 * 5 + 3
    for image in images:
        assert image["src"].startswith("data:image/jpeg;base64,")
        assert int(image["width"]) in (300, 480)
        assert int(image["height"]) * 2 == int(image["width"])
        assert image["alt"]
    for number in range(6):
        record = prediction("test", number)
        for text in (record["prediction"], record["reference"], *record["context"]):
            assert text in html


def test_the_headline_is_said_in_words_and_numbers(html: str) -> None:
    text = re.sub(r"<[^>]+>", "", html).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert (
        "On 6 stories it had never seen, its captions come 57 % (95 % interval 52–62 %) of the way "
        "from another story’s caption to the true one."
    ) in text
    assert "reads the first four frames" in text
    assert "It reads the story" in text
    assert "Only 50 % of its captions come to an end by themselves." in text


def test_nothing_is_fetched_from_anywhere(html: str) -> None:
    for tag, attributes in Page(html).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            if value := attributes.get(name, ""):
                assert value.startswith(("data:", "#")), f"{tag} {name}={value[:60]}"
        assert "style" not in attributes, "the policy would not allow it"
        assert not any(name.startswith("on") for name in attributes)
    assert "://" not in html
    assert "@import" not in html and "url(" not in html


def test_the_policy_allows_this_style_and_this_script_alone(html: str) -> None:
    page = Page(html)
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for name in ("style", "script"):
        (content,) = page.contents[name]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_markup_in_any_text_is_text(evaluate: Evaluate) -> None:
    changes = {"prediction": NASTY, "reference": NASTY, "context": [NASTY] * 4, "story_id": NASTY}
    html = evaluate(changes={0: changes}).report()
    page = Page(html)
    assert len(page.contents["script"]) == 1
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 9 * 5 + 3
    assert all(value["src"].startswith("data:") for tag, value in page.tags if tag == "img")
    assert "{{ 7*7 }}" in html
    assert "&lt;/script&gt;&lt;script&gt;" in html


def test_the_same_evaluation_gives_the_same_bytes(evaluation: Evaluation, html: str) -> None:
    assert evaluation.report() == html


def test_a_large_evaluation_fits_its_budget(evaluate: Evaluate) -> None:
    evaluation = evaluate(test=12, val=0, size=(900, 500))
    roomy = evaluation.report()
    tight = evaluation.report(max_bytes=len(roomy) // 2)
    assert len(Page(tight).tags) == len(Page(roomy).tags)
    with pytest.raises(
        UserError, match=r"lower report\.max_stories or raise report\.max_megabytes"
    ):
        evaluation.report(max_bytes=100_000)


def test_one_story_without_judge_rank_or_lift_has_a_page_too(evaluate: Evaluate) -> None:
    evaluation = evaluate(test=1, val=0)
    record = evaluation.records()[0]
    for key in ("judge_score", "judge_scores", "rank", "captions"):
        del record[key]
    del record["scores"]["shuffled"]
    (evaluation.folder / "predictions.jsonl").write_text(json.dumps(record) + "\n")
    full = json.loads((evaluation.folder / "metrics_full.json").read_text())
    part = full["splits"]["test"]
    part["figures"] = {"nll": {"value": 1.0, "low": None, "high": None}}
    del part["rows"]["shuffled"]
    (evaluation.folder / "metrics_full.json").write_text(json.dumps(full))
    write_sums(evaluation.folder)
    html = evaluation.report()
    assert html.count('class="card"') == 1
    assert "of the way" not in html


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=60)
@given(data=st.data())
def test_anything_in_place_of_a_value_is_a_page_or_one_sentence(
    evaluate: Evaluate, data: st.DataObject
) -> None:
    evaluation = evaluate(test=1, val=0, size=(64, 32))
    file = data.draw(st.sampled_from(["predictions.jsonl", "metrics_full.json"]))
    content = json.loads((evaluation.folder / file).read_text())
    place = content
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = isinstance(place[key], dict | list) and place[key]
        if not inner or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(ANYTHING)
    (evaluation.folder / file).write_text(json.dumps(content) + "\n")
    write_sums(evaluation.folder)
    try:
        evaluation.report()
    except UserError as error:
        assert "\n" not in str(error)
    if file == "predictions.jsonl":
        with suppress(UserError):
            record = find_prediction(evaluation.folder / file, "test-0")
            draw_storyboard(record, evaluation.raw)
        with suppress(UserError):
            records = read_predictions(str(evaluation.folder / file), "test")
            compare(records, records)


def test_what_is_missing_or_broken_is_one_sentence(evaluate: Evaluate) -> None:
    evaluation = evaluate()
    predictions = evaluation.folder / "predictions.jsonl"
    metrics = evaluation.folder / "metrics_full.json"
    whole: dict[Path, Any] = {path: path.read_text() for path in (predictions, metrics)}

    def fails(path: Path, text: str | None, match: str) -> None:
        path.unlink()
        if text is not None:
            path.write_text(text)
            write_sums(evaluation.folder)
        with pytest.raises(UserError, match=match) as raised:
            evaluation.report()
        assert "\n" not in str(raised.value)
        path.write_text(whole[path])
        write_sums(evaluation.folder)

    fails(predictions, None, r"predictions\.jsonl is missing; run dvc repro evaluate")
    fails(predictions, "", "holds no story")
    for text in ("{not json", "{}", "null", "[]", "[[]]", "1", '"x"', '{"split": 1}'):
        fails(predictions, text + "\n", r"is not a predictions file .*\(line 1")
    fails(metrics, None, r"metrics_full\.json is missing")
    for text in ("{}", "null", "[]", "1", '{"splits": {}}', '{"splits": {"test": null}}'):
        fails(metrics, text, "does not hold what the evaluate stage writes")
    fails(metrics, "{", "is not valid JSON")
    (evaluation.folder / "recall_test.json").write_text("[]")  # which no SHA256SUMS lists
    assert evaluation.report()
    predictions.write_text(whole[predictions].replace("A lantern", "a lantern"))
    with pytest.raises(UserError, match=r"predictions\.jsonl is not what was written"):
        evaluation.report()
    predictions.write_text(whole[predictions])
    (evaluation.raw / "test/00000.parquet").unlink()
    with pytest.raises(UserError, match=r"00000\.parquet is missing"):
        evaluation.report()
