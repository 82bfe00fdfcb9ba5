"""Experiments that run in another folder reuse the embeddings of this one."""

import pytest

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
