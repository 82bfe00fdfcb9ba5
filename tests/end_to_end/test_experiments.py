"""Experiments that run in another folder reuse the embeddings of this one."""

import re

import pytest

from tests.backbones import build_tiny_clip

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]


def test_a_queued_and_a_temporary_run_do_not_embed(line):
    line.dvc("exp", "run", "--queue", "--name", "queued", "-S", "loss.alpha=0.2", "train")
    output = line.dvc("exp", "run", "--run-all")
    assert line.stages_run(output) == ["train"]
    assert "Success" in line.dvc("queue", "status")

    output = line.dvc("exp", "run", "--temp", "--name", "apart", "-S", "loss.alpha=0.3", "train")
    assert line.stages_run(output) == ["train"]
    shown = line.dvc("exp", "show", "--csv")
    assert "queued" in shown
    assert "apart" in shown


@pytest.mark.thorough
def test_the_variants_of_the_adversarial_stage(line):
    """A sweep trains no baseline, embeds nothing, and two variants share one set of captions."""
    written = line.home / "storycache" / "captions"
    assert not written.exists(), "the variant none has no captions written"
    line.dvc("exp", "run", "--queue", "-S", "gan.variant=naive,cached,hardneg")
    output = line.dvc("exp", "run", "--run-all", "--jobs", "1")
    assert line.stages_run(output) == ["check", "captions", "adversarial", "evaluate", "report"] * 3
    assert output.count("16 captions of 8 stories") == 2
    assert len(list(written.glob("*/*.h5"))) == 1, "written once, for both that read them"
    head, *rows = line.dvc("exp", "show", "--csv").splitlines()
    assert "test.clip_cosine" in head
    assert all(any(variant in row for row in rows) for variant in ("naive", "cached", "hardneg"))


@pytest.mark.thorough
def test_two_encoders_side_by_side_encode_each_once(line):
    """Queued with both, the first one's rows are there; going back and forth encodes nothing."""
    build_tiny_clip(line.root / "data/mine/clip", seed=5)
    line.run("git", "add", "--force", "data/mine/clip")
    line.commit()
    first = line.contents("data/features")
    embedding = ("embed_image", "embed_text")

    def encoded(output: str) -> list[int]:
        return [int(count) for count in re.findall(r"(\d+) encoded \(", output)]

    both = "clip.model=data/sample/clip,data/mine/clip"
    for seed in (0, 1):  # the second queue has nothing left to encode
        line.dvc("exp", "run", "--queue", "-S", both, "-S", f"seed={seed}", *embedding)
        output = line.dvc("exp", "run", "--run-all", "--jobs", "1")
        counts = encoded(output)
        assert any(counts) == (seed == 0), output

    output = line.dvc("exp", "run", "-S", "clip.model=data/mine/clip", *embedding)
    assert not any(encoded(output))
    second = line.contents("data/features")
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)
    output = line.dvc("exp", "run", "-S", "clip.model=data/sample/clip", *embedding)
    assert not any(encoded(output))
    assert line.contents("data/features") == first
