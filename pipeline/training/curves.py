"""Loss curves for `dvc plots`: one table per figure, written by DVCLive."""

from pathlib import Path
from types import TracebackType

from dvclive.live import Live

from pipeline.common.files import writing


class _Tables(Live):
    """DVCLive without git: the stage declares its outputs, so there is nothing to track or save.

    Its own set-up fails in a git repository that has no commit yet, and at the end of a run under
    `dvc exp` it would add the folder, an output of the stage, to git.
    """

    def _init_dvc(self) -> None:
        self._dvc_file = "dvc.yaml"


class Curves:
    """Logs named figures by step. A resumed run logs its history again and so ends up the same.

    Whatever writes raises a CannotWriteError where the disk does not take it.
    """

    def __init__(self, folder: Path):
        """Opens `folder` afresh; tables appear as `plots/metrics/<name>.tsv` under it."""
        self.folder = folder
        with writing(folder):
            self.live = _Tables(dir=str(folder), save_dvc_exp=False, dvcyaml=None, report=None)

    def log(self, step: int, figures: dict[str, float]) -> None:
        """One row in the table of each figure, e.g. `train/loss`."""
        self.live.step = step
        with writing(self.folder):
            for name, value in figures.items():
                self.live.log_metric(name, value)

    def __enter__(self) -> "Curves":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with writing(self.folder):
            self.live.end()
            # The last values again, which are no plot: `dvc plots` draws every file of the folder.
            Path(self.live.metrics_file).unlink(missing_ok=True)
