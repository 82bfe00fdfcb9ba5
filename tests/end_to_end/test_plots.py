"""Every plot of dvc.yaml as a picture, drawn offline: none is missing and none is empty."""

import json
from xml.etree import ElementTree

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]

vl_convert = pytest.importorskip("vl_convert")
SVG = "{http://www.w3.org/2000/svg}"


def marks(line) -> dict[str, int]:
    """How many marks every plot that `dvc plots show` has shows, by title; it complains of none."""
    output = line.dvc("plots", "show", "--json")
    assert "failed" not in output.lower(), output
    shown = json.loads(output[output.index("{") :])
    assert "errors" not in shown, shown["errors"]
    plots = {title: plot["content"] for title, found in shown["data"].items() for plot in found}
    assert len(plots) == len(shown["data"]), "a plot without data"
    return {title: drawn(vl_convert.vegalite_to_svg(plot)) for title, plot in plots.items()}


def drawn(svg: str) -> int:
    """Visible lines, points and bars of a picture: what is no axis, legend or title."""
    groups = [
        group
        for group in ElementTree.fromstring(svg).iter(f"{SVG}g")
        if "role-mark" in group.get("class", "").split()
    ]
    paths = [path for group in groups for path in group.iter(f"{SVG}path")]
    return sum(bool(path.get("d")) and path.get("opacity") != "0" for path in paths)


def test_no_plot_is_missing_or_empty(line):
    found = marks(line)
    assert len(found) == 15
    assert all(found.values()), found


@pytest.mark.thorough
def test_the_adversarial_curves_are_drawn_once_there_are_any(line):
    line.dvc("exp", "run", "-S", "gan.variant=naive", "adversarial")
    found = marks(line)
    assert all(found.values()), found
    assert any("adversarial" in title and "val/nll" in title for title in found)
    assert "failed" not in line.dvc("plots", "diff", "HEAD").lower()
