"""`storycache recipe`: the list, one recipe, and a name that there is not."""

from tests.cli.test_app import ROOT, storycache


def test_the_list_has_a_line_for_each() -> None:
    done = storycache("recipe")
    assert done.returncode == 0
    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert listed["published"].startswith("The published system")


def test_one_is_a_line_of_options() -> None:
    done = storycache("recipe", "published")
    assert done.stdout.count("\n") == 1
    assert "-S loss.image=mse -S loss.align=cosine " in done.stdout
    assert not set("'\" ") & set(done.stdout.strip().replace(" -S ", "").removeprefix("-S "))


def test_another_name_is_one_sentence() -> None:
    done = storycache("recipe", "publishd")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: recipes has no recipe 'publishd'; did you mean published?\n"
