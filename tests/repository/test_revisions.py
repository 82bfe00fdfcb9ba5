"""Files as of revisions, in a real repository with git and DVC, and what reads them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.compare import compare, read_predictions
from pipeline.common.errors import UserError
from pipeline.common.files import jsonl_writer, write_json
from pipeline.report.comparison import read_run
from pipeline.repository.revisions import read_revision
from tests.report.conftest import Evaluation, full_metrics, prediction, write_evaluation

pytestmark = pytest.mark.xdist_group("revisions")

METRICS, MEASURES = Path("metrics.json"), Path("data/eval/metrics_full.json")


def sh(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def better(number: int) -> dict:
    """A prediction whose caption fits its picture better than `prediction` has it."""
    record = prediction("test", number)
    scores = record["scores"] | {"model": record["scores"]["model"] + 0.3}
    return record | {"score": scores["model"], "scores": scores}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A tag `old` without data/eval; with it, a branch `other` and an experiment `brave-hare`."""
    root = tmp_path_factory.mktemp("repository")
    dvc = (sys.executable, "-m", "dvc")
    sh(root, "git", "init", "--quiet", "--initial-branch", "main")
    sh(root, "git", "config", "user.name", "a test")
    sh(root, "git", "config", "user.email", "test@localhost")
    sh(root, *dvc, "init", "--quiet")

    def commit(message: str, clip_cosine: float) -> None:
        write_json(root / METRICS, {"test": {"clip_cosine": clip_cosine, "nll": 1.5}})
        sh(root, "git", "add", "--all")
        sh(root, "git", "commit", "--quiet", "--message", message)

    commit("old", 0.4)
    sh(root, "git", "tag", "old")
    full = full_metrics({"test": 6})
    full["splits"]["test"]["figures"]["lift"] = {"value": 0.5, "low": 0.45, "high": 0.55}
    write_json(root / MEASURES, full)
    with jsonl_writer(root / "data/eval/predictions.jsonl") as write:
        for number in range(6):
            write(better(number))
    sh(root, *dvc, "add", "--quiet", "data/eval")
    commit("other", 0.45)
    sh(root, "git", "branch", "other")
    write_json(root / METRICS, {"test": {"clip_cosine": 0.6, "nll": 1.4}})
    sh(root, *dvc, "exp", "save", "--name", "brave-hare")
    sh(root, "git", "checkout", "--quiet", "--", "metrics.json")
    (root / "data/eval.dvc").unlink()
    return write_evaluation(root)


@pytest.fixture
def there(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(evaluation.root)
    return evaluation.root


def test_experiments_branches_tags_and_commits_are_read(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["brave-hare", "other", "old", sh(there, "git", "rev-parse", "old").strip()]
    found = [json.loads(read_revision(name, METRICS))["test"]["clip_cosine"] for name in names]
    assert found == [0.6, 0.45, 0.4, 0.4]
    monkeypatch.chdir(there / "data")  # paths are from the root wherever one stands
    assert json.loads(read_revision("brave-hare", METRICS)) == {
        "test": {"clip_cosine": 0.6, "nll": 1.4}
    }


def test_an_experiment_that_runs_in_a_copy_asks_its_repository(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued experiments run in clones beneath .dvc/tmp, which know no experiment but their own."""
    folder = there / ".dvc/tmp/exps/standalone/copy"
    folder.parent.mkdir(parents=True)
    sh(there, "git", "clone", "--quiet", ".", str(folder))
    monkeypatch.chdir(folder)
    assert json.loads(read_revision("brave-hare", METRICS))["test"]["clip_cosine"] == 0.6
    assert len(read_predictions("brave-hare", "test")) == 6


def test_what_a_revision_lacks_is_one_sentence(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^old has no data/eval/metrics_full\.json that can be"):
        read_revision("old", MEASURES)
    with pytest.raises(UserError, match=r"brave-hair is neither .*; did you mean brave-hare\?"):
        read_revision("brave-hair", METRICS)
    with pytest.raises(UserError, match=r"zzz is neither an experiment nor a git revision here;"):
        read_revision("zzz", METRICS)
    sh(tmp_path, "git", "clone", "--quiet", str(there), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    with pytest.raises(UserError, match="if it is in neither DVC's cache nor its remote"):
        read_revision("origin/other", MEASURES)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="main cannot be looked up: this folder is in no git"):
        read_revision("main", METRICS)


def test_the_report_has_intervals_where_their_cache_is(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [read_run(name, METRICS, MEASURES) for name in ("brave-hare", "old")]
    assert [run.metrics["test"]["clip_cosine"] for run in runs] == [0.6, 0.4]
    lift = runs[0].measure("test", "lift")
    assert lift and (lift.value, lift.low) == (0.5, 0.45)
    assert runs[1].measures is None
    with pytest.raises(UserError, match=r"^report\.compare: zzz is neither"):
        read_run("zzz", METRICS, MEASURES)
    sh(tmp_path, "git", "clone", "--quiet", str(there), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    run = read_run("origin/other", METRICS, MEASURES)
    assert run.metrics["test"]["clip_cosine"] == 0.45 and run.measures is None


def test_the_page_sets_runs_side_by_side(there: Path) -> None:
    evaluation = Evaluation(Path())  # revisions know paths from the repository's root
    html = evaluation.report(compared=["brave-hare", "old"])
    section = html[html.index('id="comparison"') : html.index('id="gallery"')]
    assert "brave-hare" in section and "this run" in section
    assert "+0.100" in section  # 0.6 of brave-hare against 0.5 here
    assert "(better)" in section and "(worse)" in section
    assert section.count("<svg") > 6
    assert 'id="comparison"' not in evaluation.report()


def test_predictions_of_a_revision_are_compared_with_those_here(there: Path) -> None:
    here, other = read_predictions("workspace", "test"), read_predictions("other", "test")
    assert other == {f"test-{n}": better(n) for n in range(6)}
    (lift,) = compare(here, other, ["lift"])
    assert lift.verdict == "B is better"
    with pytest.raises(UserError, match=r"old has no data/eval/predictions\.jsonl that can be"):
        read_predictions("old", "test")
    shutil.move(there / ".dvc/cache", there / ".dvc/elsewhere")
    with pytest.raises(UserError, match="in neither DVC's cache nor its remote"):
        read_predictions("other", "test")
    shutil.move(there / ".dvc/elsewhere", there / ".dvc/cache")
