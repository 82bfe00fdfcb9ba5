"""The stage's command on files: what it writes, prints and refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.common.errors import UserError
from stages.report import report
from tests.report.conftest import Evaluate, Evaluation

ROOT = Path(__file__).parents[2]

Edit = Callable[[str, str], None]


@pytest.fixture
def files(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """An evaluation and the shipped params.yaml in the working directory."""
    evaluation = evaluate()
    shutil.copy(ROOT / "params.yaml", evaluation.root)
    monkeypatch.chdir(evaluation.root)
    return evaluation


@pytest.fixture
def edit(files: Evaluation) -> Edit:
    def change(old: str, new: str) -> None:
        path = files.root / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def main() -> None:
    report(Path("data/eval"), Path("data/raw"), Path("metrics.json"), Path("data/report"))


def test_writes_the_page(files: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    main()
    written = sorted(path.name for path in files.page.parent.rglob("*.*"))
    assert written == ["index.html"]
    assert capsys.readouterr().out.startswith("report: data/report/index.html, 0.")


def test_the_parameters_bound_the_page(files: Evaluation, edit: Edit) -> None:
    edit("max_stories: 150", "max_stories: 4")
    main()
    html = files.page.read_text()
    assert html.count('class="card"') == 4
    assert "4 of 9 stories" in html
    edit("max_megabytes: 15 ", "max_megabytes: 0.05 ")
    with pytest.raises(UserError, match=r"raise report\.max_megabytes"):
        main()


def test_a_wrong_list_of_experiments_is_one_sentence(files: Evaluation, edit: Edit) -> None:
    edit("compare: [] ", "compare: main ")
    with pytest.raises(UserError, match=r"report\.compare is \"main\", but must be a list"):
        main()
    edit("compare: main ", "compare: [1] ")
    with pytest.raises(UserError, match=r"report\.compare\.0 is 1, but must be a list, each of it"):
        main()
