"""Captions for a file of stories."""

import json
from pathlib import Path

import pytest

from pipeline.captioning.generate import story_seed
from pipeline.common.errors import UserError
from pipeline.predict.batch import predict_batch
from tests.predict.conftest import CAPTIONS


def story(pictures: list[Path], number: int) -> dict:
    captions = [f"{caption} {number}" for caption in CAPTIONS]
    frames = [{"image": str(p), "caption": c} for p, c in zip(pictures[:2], captions, strict=True)]
    return {"story_id": f"s{number}", "frames": frames}


def write(path: Path, lines: list[object]) -> Path:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return path


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_story_gets_the_caption_that_it_gets_alone(teller, pictures, tmp_path):
    stories = [story(pictures, n) for n in range(6)]
    out = tmp_path / "out/captions.jsonl"
    assert predict_batch(teller, write(tmp_path / "stories.jsonl", stories), out) == (6, 0)
    alone = [teller.tell(pictures[:2], [f["caption"] for f in s["frames"]]) for s in stories]
    assert [row["caption"] for row in rows(out)] == alone
    assert [row["story_id"] for row in rows(out)] == [s["story_id"] for s in stories]
    assert {path.name for path in out.parent.iterdir() if path.suffix != ".lock"} == {out.name}


def test_a_bad_line_is_named_and_left_out(teller, pictures, tmp_path, capsys):
    good = story(pictures, 1)
    no_picture = story([tmp_path / "none.jpg", *pictures], 2)
    lines = [good, "{no json", {"frames": [{"image": 3}]}, no_picture, {"frames": []}, good]
    out = tmp_path / "captions.jsonl"
    assert predict_batch(teller, write(tmp_path / "stories.jsonl", lines), out) == (2, 4)
    assert [row["line"] for row in rows(out)] == [1, 6]
    said = capsys.readouterr().err
    assert "line 2 is left out: it is no story" in said
    assert "line 3 is left out: frames.0.image" in said
    assert "line 4 is left out: image 1" in said and "there is no such file" in said
    assert "line 5 is left out: there is no image and no caption" in said


def test_pictures_lie_beside_the_file(teller, pictures, tmp_path):
    (tmp_path / "mine").mkdir()
    for path in pictures[:2]:
        (tmp_path / "mine" / path.name).write_bytes(path.read_bytes())
    relative = story([Path(path.name) for path in pictures], 0)
    file = write(tmp_path / "mine/stories.jsonl", [relative])
    assert predict_batch(teller, file, tmp_path / "out.jsonl") == (1, 0)


def test_alternatives(teller, pictures, tmp_path):
    file = write(tmp_path / "stories.jsonl", [story(pictures, n) for n in range(3)])
    predict_batch(teller, file, tmp_path / "out.jsonl", samples=3, seed=1)
    for row in rows(tmp_path / "out.jsonl"):
        scores = [alternative["score"] for alternative in row["alternatives"]]
        assert scores == sorted(scores, reverse=True) and len(scores) == 3
        assert row["caption"] == row["alternatives"][0]["caption"]


def test_a_story_draws_by_its_id_as_the_evaluation_has_it_draw(
    teller, pictures, tmp_path, monkeypatch
):
    drawn = teller.generate.model_copy(update={"strategy": "nucleus"})
    monkeypatch.setattr(teller, "generate", drawn)
    same = story(pictures, 1)
    other = same | {"story_id": "another"}
    file = write(tmp_path / "stories.jsonl", [same, other, same])
    predict_batch(teller, file, tmp_path / "out.jsonl", seed=3)
    first, second, third = (row["caption"] for row in rows(tmp_path / "out.jsonl"))
    assert first == third != second
    captions = [frame["caption"] for frame in same["frames"]]
    assert first == teller.tell(pictures[:2], captions, seed=story_seed(3, "s1"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("cut", [0, 7])
def test_a_killed_run_goes_on_where_it_was(teller, pictures, tmp_path, monkeypatch, cut):
    stories = [story(pictures, n) for n in range(10)]
    file = write(tmp_path / "stories.jsonl", [*stories[:2], "{no json", *stories[2:]])
    predict_batch(teller, file, tmp_path / "whole.jsonl")

    calls, write_captions = [], type(teller).tell_many

    def tell_many(self, contexts, seeds):
        calls.append(len(contexts))
        if len(calls) == 3:
            raise Killed
        return write_captions(self, contexts, seeds)

    monkeypatch.setattr(type(teller), "tell_many", tell_many)
    out = tmp_path / "out.jsonl"
    with pytest.raises(Killed):
        predict_batch(teller, file, out)
    assert not out.exists()
    kept = tmp_path / ".out.jsonl.unfinished"
    kept.write_bytes(kept.read_bytes()[: -cut or None])  # the last line cut short
    assert predict_batch(teller, file, out) == (10, 1)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sum(calls[3:]) < 10
    assert not kept.exists()


def test_what_is_kept_of_other_settings_is_not_taken_up(teller, pictures, tmp_path):
    file = write(tmp_path / "stories.jsonl", [story(pictures, n) for n in range(3)])
    predict_batch(teller, file, tmp_path / "two.jsonl", samples=2, seed=2)
    out = tmp_path / "out.jsonl"
    kept = tmp_path / ".out.jsonl.unfinished"
    kept.write_text(json.dumps({"model": "another"}) + "\n" + json.dumps({"line": 2}) + "\n")
    predict_batch(teller, file, out, samples=2, seed=2)
    assert out.read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_no_file_of_stories_is_one_sentence(teller, tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl is missing"):
        predict_batch(teller, tmp_path / "none.jsonl", tmp_path / "out.jsonl")
