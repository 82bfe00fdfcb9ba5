"""Which stories are shown, and that their pictures are the right ones."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.report.gallery import choose, make_cards, picture_uses, telling
from pipeline.report.pictures import Picture, Place, Use, fit_pictures, read_images
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


def test_pictures_are_those_of_their_places_over_files_and_row_groups(tmp_path: Path) -> None:
    count, wanted = 40, [39, 0, 17, 18]

    def images(n: int) -> list[dict[str, Any]]:
        return [{"bytes": encoded_image(6 * n + i, form="PNG"), "path": None} for i in range(5)]

    rows = (story_row(f"s{n}", images=images(n)) for n in range(count))
    write_stories(rows, tmp_path / "train", rows_per_file=20)
    places = [Place(f"train/{n // 20:05d}.parquet", n % 20, n % 5) for n in wanted]
    found = dict(read_images(tmp_path, places))
    assert set(found) == set(places)
    for n, place in zip(wanted, places, strict=True):
        value = 6 * n + n % 5  # the patch of the picture tells which one it is
        assert found[place].getpixel((5, 5)) == (value, 255 - value, 40)


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


def test_a_place_that_is_not_there_is_one_sentence(evaluate: Evaluate) -> None:
    raw = evaluate(test=1, val=0).raw
    with pytest.raises(UserError, match="has no row 7"):
        list(read_images(raw, [Place("test/00000.parquet", 7, 0)]))
    with pytest.raises(UserError, match="is missing"):
        list(read_images(raw, [Place("test/00009.parquet", 0, 0)]))
