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
