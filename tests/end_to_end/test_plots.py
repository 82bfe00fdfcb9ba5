"""Every plot of dvc.yaml as a picture, drawn offline: none is missing and none is empty."""

import io
import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]

vl_convert = pytest.importorskip("vl_convert")


def pictures(line) -> dict[str, bytes]:
    """PNG of every plot that `dvc plots show` has, by title; it must complain of none."""
    output = line.dvc("plots", "show", "--json", "--out", "plots.json")
    assert "failed" not in output.lower(), output
    shown = json.loads(output[output.index("{") :])
    assert "errors" not in shown, shown["errors"]
    plots = {title: plot["content"] for title, found in shown["data"].items() for plot in found}
    assert len(plots) == len(shown["data"]), "a plot without data"
    return {title: vl_convert.vegalite_to_png(spec, scale=1) for title, spec in plots.items()}


def marks(png: bytes) -> int:
    """How many pixels have a colour, left of the legend: what the marks cover."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    coloured = pixels.max(axis=2) - pixels.min(axis=2) > 40
    return int(coloured[:, :350].sum())


def test_no_plot_is_missing_or_empty(line):
    drawn = pictures(line)
    assert len(drawn) == 15
    for title, png in drawn.items():
        assert marks(png) >= 8, f"{title} shows nothing"


def test_the_adversarial_curves_are_drawn_once_there_are_any(line):
    line.dvc("exp", "run", "-S", "gan.variant=naive", "adversarial")
    drawn = pictures(line)
    assert any("adversarial" in title and "val/nll" in title for title in drawn)
    assert "failed" not in line.dvc("plots", "diff", "HEAD").lower()
