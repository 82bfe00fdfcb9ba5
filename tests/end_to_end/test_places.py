"""The line where people really put it: odd paths, a locale and a umask of their own."""

import os
import shutil

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]

LINE = ("check", "download", "prepare", "split", "embed_image", "embed_text")
LINE += ("train", "captions", "adversarial", "evaluate", "report")


def same_results(line, other) -> None:
    folders = ("data/features", "data/models", "data/eval", "data/live")
    assert line.contents(*folders) == other.contents(*folders)


@pytest.mark.skipif(os.name != "posix", reason="locale, umask and links of POSIX")
@pytest.mark.thorough
def test_a_path_with_spaces_and_accents_in_the_plainest_locale(fresh_line, first_repro, tmp_path):
    """By a link to the clone, and with files that only their owner may read."""
    built, _ = first_repro
    place = tmp_path / "my stories, naïve é à 物語"
    place.mkdir()
    moved = type(fresh_line)(place / "the clone", fresh_line.home)
    shutil.move(fresh_line.root, moved.root)
    (tmp_path / "by a link").symlink_to(moved.root)
    linked = type(fresh_line)(tmp_path / "by a link", fresh_line.home)
    output = linked.run("sh", "-c", "umask 077; LANG=C LC_ALL=C exec dvc repro")
    assert sorted(linked.stages_run(output)) == sorted(LINE)
    assert "Traceback" not in output
    same_results(moved, built)
    assert moved.stages_run(moved.dvc("repro")) == [], "the same place by its own name"


@pytest.mark.thorough
def test_a_git_worktree_takes_all_from_the_clones_caches(line):
    """Its DVC cache is its own, the encode cache the user's."""
    tree = type(line)(line.root.parent / "tree", line.home)
    line.run("git", "worktree", "add", "--quiet", str(tree.root))
    output = tree.dvc("repro")
    assert sorted(tree.stages_run(output)) == sorted(LINE[1:]), "git has its dvc.lock"
    assert "803 from the cache, 0 encoded" in output
    same_results(tree, line)
