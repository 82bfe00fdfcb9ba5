"""A file as of an experiment or a git revision, tracked by git or by DVC, through DVC's own API."""

import difflib
from pathlib import Path

from pipeline.common.errors import UserError, reason


def read_revision(revision: str, path: Path) -> bytes:
    """Read a file as of a revision of the repository that is worked in.

    Args:
        revision: a DVC experiment, branch, tag or commit.
        path: from the root of the repository.

    Raises:
        UserError: if there is no such revision, or no repository to look in, or if it has no such
            file, or neither DVC's cache nor a remote holds it.
    """
    # They take a second to load, which reading the working tree need not wait for.
    import dvc.api
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.scm import RevError, SCMError
    from dvc_data.index import DataIndexDirError

    root = _repository()
    try:
        with dvc.api.open(path.as_posix(), repo=str(root), rev=revision, mode="rb") as file:
            content: bytes = file.read()
            return content
    except RevError:
        raise UserError(
            f"{revision} is neither an experiment nor a git revision here"
            f"{_suggestion(root, revision)}; dvc exp list --all-commits names the experiments"
        ) from None
    except (NotDvcRepoError, SCMError):
        raise UserError(
            f"{revision} cannot be looked up: this folder is in no git repository with DVC"
        ) from None
    except (DvcException, DataIndexDirError, OSError) as error:
        raise UserError(
            f"{revision} has no {path} that can be read here ({reason(error)}): name one that was "
            "run that far, or dvc pull it, if it is in neither DVC's cache nor its remote"
        ) from None


def _repository() -> Path:
    """The root of the repository that knows the experiments.

    A queued or `--temp` experiment runs in a copy beneath `.dvc/tmp` of its repository, and the
    copy knows no other experiment.
    """
    folder = Path.cwd()
    for parent in folder.parents:
        if parent.name == ".dvc" and folder.relative_to(parent).parts[:2] == ("tmp", "exps"):
            return parent.parent
    return next((at for at in (folder, *folder.parents) if (at / ".dvc").is_dir()), folder)


def _suggestion(root: Path, name: str) -> str:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        listed = repo.experiments.ls(all_commits=True)
        names = [exp for experiments in listed.values() for exp, _ in experiments]
        names += repo.scm.list_branches() + repo.scm.list_tags()
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
