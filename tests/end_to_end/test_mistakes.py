"""A mistake in params.yaml stops with one sentence, and nothing is lost by it."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]


def test_a_misspelt_key_is_one_sentence_and_its_mending_runs_nothing(line):
    lock = (line.root / "dvc.lock").read_bytes()
    models = line.contents("data/models")
    line.edit("params.yaml", lambda text: text.replace("  alpha:", "  alhpa:"))

    output = line.dvc("repro", fails=True)
    said = [text for text in output.splitlines() if text.startswith("error:")]
    assert said == [
        "error: params.yaml: loss.alhpa (value 0.5) is not a known key; did you mean loss.alpha?"
    ]
    assert "Traceback" not in output
    assert (line.root / "dvc.lock").read_bytes() == lock

    line.edit("params.yaml", lambda text: text.replace("  alhpa:", "  alpha:"))
    assert line.stages_run(line.dvc("repro")) == []
    assert line.contents("data/models") == models


def test_a_key_that_nobody_knows_is_refused_though_no_stage_depends_on_it(line):
    lock = (line.root / "dvc.lock").read_bytes()
    output = line.dvc("exp", "run", "-S", "+foo=1", fails=True)
    assert "error: params.yaml: foo (value 1) is not a known key" in output
    assert "Traceback" not in output
    assert (line.root / "dvc.lock").read_bytes() == lock

    line.edit("params.yaml", lambda text: text.replace("foo: 1", "# a comment"))
    assert line.stages_run(line.dvc("repro")) == [], "a comment is not a value"


def test_an_override_that_is_not_a_key_is_refused(line):
    before = (line.root / "params.yaml").read_bytes()
    output = line.dvc("exp", "run", "-S", "loss.alhpa=0.2", fails=True)
    assert "Traceback" not in output
    assert "loss.alhpa" in output
    assert (line.root / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("  alpha:", "\talpha:", "unable to read: 'params.yaml', YAML file structure is corrupted"),
        (
            "loss:\n",
            "raw: here\nloss:\n",
            "cannot redefine 'raw' from 'vars[0]' as it already exists",
        ),
    ],
)
def test_what_dvc_itself_refuses_to_read_names_the_file_and_runs_nothing(line, before, after, said):
    """DVC reads params.yaml before any stage, to fill in the paths of dvc.yaml."""
    line.edit("params.yaml", lambda text: text.replace(before, after))
    output = line.dvc("repro", fails=True)
    assert said in output and "params.yaml" in output
    assert "Traceback" not in output and line.stages_run(output) == []
