"""Which stories are shown, and that their pictures are the right ones."""

import io
from typing import Any

import pytest
from PIL import ExifTags, Image

from pipeline.common.errors import UserError
from pipeline.images.reader import Place
from pipeline.report.gallery import choose, make_cards, picture_uses, telling
from pipeline.report.pictures import Picture, Use, fit_pictures
from pipeline.stories.schema import write_stories
from tests.report.conftest import Evaluate, prediction
from tests.stories.story_rows import encoded_image, story_row


def records(test: int, val: int = 0) -> list[dict[str, Any]]:
    return [
        *(prediction("val", n) for n in range(val)),
        *(prediction("test", n) for n in range(test)),
    ]


def test_of_too_many_stories_the_best_the_worst_and_a_draw_are_kept() -> None:
    everything = records(60, val=10)
    chosen = choose(everything, 30, "test")
    assert len(chosen) == 30 and {record["split"] for record in chosen} == {"test"}
    ranked = sorted(everything[10:], key=lambda record: -record["score"])
    ids = {record["story_id"] for record in chosen}
    assert {record["story_id"] for record in ranked[:10]} <= ids
    assert {record["story_id"] for record in ranked[-10:]} <= ids
    assert len(ids) == 30
    # the order is drawn, and does not depend on the order of the file
    assert [record["story_id"] for record in chosen] != sorted(ids)
    assert choose(everything[::-1], 30, "test") == chosen


def test_what_room_test_leaves_goes_to_val() -> None:
    chosen = choose(records(6, val=10), 10, "test")
    assert [record["split"] for record in chosen] == ["test"] * 6 + ["val"] * 4


def test_best_middle_and_worst_are_told_apart() -> None:
    shown = choose(records(7), 100, "test")
    named = {title: shown[i]["score"] for title, i in telling(shown, "test")}
    ordered = sorted(record["score"] for record in shown)
    assert named == {"Its best": ordered[6], "In the middle": ordered[3], "Its worst": ordered[0]}
    assert telling(shown[:2], "test") == []


def test_a_picture_is_counted_as_often_as_it_is_shown() -> None:
    one = prediction("test", 0)
    uses = picture_uses([one], [one])
    assert uses[Place("test/00000.parquet", 0, 4)] == Use(large=True, times=2)
    assert uses[Place("test/00000.parquet", 0, 0)] == Use(large=False, times=1)


def test_tags_say_what_the_filters_ask() -> None:
    found = prediction("test", 0, rank=1, finished=True)
    found["scores"] |= {"model": 0.9, "ground_truth": 0.8, "copy_last": 0.3}
    missed = prediction("test", 1, rank=11, finished=False)
    missed["scores"] |= {"model": 0.2, "ground_truth": 0.8, "copy_last": 0.3}
    pictures = dict.fromkeys(picture_uses([found, missed], []), Picture(b"", 1, 1))
    one, other = make_cards([found, missed], pictures, {"test": 50})
    assert one.tags == ["found", "above-truth"]
    assert other.tags == ["missed", "below-copy", "unfinished"]
    assert one.of == 50


def test_pictures_shrink_together_and_never_grow(evaluate: Evaluate) -> None:
    evaluation = evaluate(test=3, val=0, size=(200, 100))
    uses = picture_uses(evaluation.records(), [])
    roomy = fit_pictures(evaluation.raw, uses, 10**7)
    assert {(picture.width, picture.height) for picture in roomy.values()} == {(200, 100)}
    size = sum(len(picture.uri) - len("data:image/jpeg;base64,") for picture in roomy.values())
    assert fit_pictures(evaluation.raw, uses, size) == roomy
    tight = fit_pictures(evaluation.raw, uses, size - 1)
    assert sum(len(picture.data) for picture in tight.values()) < size
    with pytest.raises(UserError, match="15 pictures take"):
        fit_pictures(evaluation.raw, uses, 1000)


def test_pictures_are_upright_and_slivers_have_a_pixel(evaluate: Evaluate) -> None:
    evaluation = evaluate(test=1, val=0)
    turned = Image.new("RGB", (60, 30), "red")
    exif = turned.getexif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    turned.save(file, "JPEG", exif=exif)
    shapes = [(20_000, 1), (1, 20_000), (1, 1), (90, 30)]
    images = [file.getvalue(), *(encoded_image(size=shape, form="PNG") for shape in shapes)]
    row = story_row("test-0", images=[{"bytes": data, "path": None} for data in images])
    write_stories([row], evaluation.raw / "test")
    pictures = fit_pictures(evaluation.raw, picture_uses(evaluation.records(), []), 10**6)
    sizes = [(picture.width, picture.height) for _, picture in sorted(pictures.items())]
    assert sizes == [(30, 60), (300, 1), (1, 300), (1, 1), (90, 30)]
    assert 'width="30" height="60"' in evaluation.report()
