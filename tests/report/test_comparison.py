"""Other experiments beside this run, in a real repository with git and DVC."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from pipeline.common.files import write_json
from pipeline.report.comparison import HERE, Run, compare, read_runs
from tests.report.conftest import Evaluation, full_metrics, write_evaluation

METRICS, FULL = Path("metrics.json"), Path("data/eval/metrics_full.json")


def sh(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
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
    write_json(root / FULL, full)
    sh(root, *dvc, "add", "--quiet", "data/eval")
    commit("other", 0.45)
    sh(root, "git", "branch", "other")
    write_json(root / METRICS, {"test": {"clip_cosine": 0.6, "nll": 1.4}})
    sh(root, *dvc, "exp", "save", "--name", "brave-hare")
    sh(root, "git", "checkout", "--quiet", "--", "metrics.json")
    (root / "data/eval.dvc").unlink()
    return write_evaluation(root)


@pytest.fixture
def there(repository: Evaluation, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    monkeypatch.chdir(repository.root)
    return repository


def test_experiments_branches_tags_and_commits_are_read(there: Evaluation) -> None:
    commit = sh(there.root, "git", "rev-parse", "old").strip()
    runs = read_runs(["brave-hare", "other", "old", commit], METRICS, FULL)
    assert [run.metrics["test"]["clip_cosine"] for run in runs] == [0.6, 0.45, 0.4, 0.4]
    intervals = [run.measure("test", "lift") for run in runs]
    assert [lift and (lift.value, lift.low) for lift in intervals] == [
        (0.5, 0.45),
        (0.5, 0.45),
        None,
        None,
    ]


def test_numbers_without_their_cache_are_left_out(
    there: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sh(tmp_path, "git", "clone", "--quiet", str(there.root), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    (run,) = read_runs(["origin/other"], METRICS, FULL)
    assert run.metrics["test"]["clip_cosine"] == 0.45
    assert run.measures is None


def test_an_unknown_name_is_one_sentence_with_the_nearest(there: Evaluation) -> None:
    with pytest.raises(UserError, match=r"brave-hair is neither .*did you mean brave-hare\?"):
        read_runs(["old", "brave-hair"], METRICS, FULL)
    with pytest.raises(UserError, match=r"zzz is neither an experiment nor a git revision here;"):
        read_runs(["zzz"], METRICS, FULL)


def test_a_revision_without_metrics_is_one_sentence(there: Evaluation) -> None:
    with pytest.raises(UserError, match=r"old has no elsewhere\.json"):
        read_runs(["old"], Path("elsewhere.json"), FULL)


def test_without_a_repository_the_list_must_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"needs a git repository with DVC; leave it \[\]"):
        read_runs(["main"], METRICS, FULL)


def test_the_page_sets_runs_side_by_side(there: Evaluation) -> None:
    evaluation = Evaluation(Path())  # revisions know paths from the repository's root
    html = evaluation.report(compared=["brave-hare", "old"])
    section = html[html.index('id="comparison"') : html.index('id="gallery"')]
    assert "brave-hare" in section and "this run" in section
    assert "+0.100" in section  # 0.6 of brave-hare against 0.5 here
    assert "(better)" in section and "(worse)" in section
    assert section.count("<svg") > 6
    assert 'id="comparison"' not in evaluation.report()


def test_differences_are_from_the_first_and_judged_by_the_metric() -> None:
    runs = [
        Run(HERE, {"test": {"clip_cosine": 0.5, "nll": 1.0, "words": 30.0, "new": 1.0}}, None),
        Run("b", {"test": {"clip_cosine": 0.4, "nll": 0.8, "words": 20.0}}, None),
    ]
    table = dict(compare(runs, "test").table)
    assert [cell.value for cell in table["clip_cosine"]] == [0.5, 0.4]
    assert table["clip_cosine"][1].difference == pytest.approx(-0.1)
    assert table["clip_cosine"][1].better is False
    assert table["nll"][1].better is True, "lower is better"
    assert table["words"][1].better is None
    assert table["new"][1].value is None
    charts = {chart.metric: chart for chart in compare(runs, "test").charts}
    assert list(charts) == ["clip_cosine", "nll"]
    assert [bar.name for bar in charts["nll"].bars] == [HERE, "b"]


def test_an_experiment_that_runs_in_a_copy_asks_its_repository(
    there: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued experiments run in clones beneath .dvc/tmp, which know no experiment but their own."""
    folder = there.root / ".dvc/tmp/exps/standalone/copy"
    folder.parent.mkdir(parents=True)
    sh(there.root, "git", "clone", "--quiet", ".", str(folder))
    monkeypatch.chdir(folder)
    (run,) = read_runs(["brave-hare"], METRICS, FULL)
    assert run.metrics["test"]["clip_cosine"] == 0.6
