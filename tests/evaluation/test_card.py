"""The model card: what it says of a model, its data and its scores."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from pipeline.common.files import write_json
from pipeline.evaluation.card import model_card
from pipeline.evaluation.figures import Measure
from pipeline.evaluation.results import Measures, SplitMeasures
from pipeline.model.config import Encoder


def measures() -> Measures:
    rows = {
        row: {"clip_cosine": Measure(value, value - 0.1, value + 0.1), "r1": Measure(1.0)}
        for row, value in (("model", 0.5), ("ground_truth", 0.8), ("shuffled", 0.0))
    }
    return Measures({}, {"test": SplitMeasures(7, rows, {"lift": Measure(0.62, 0.5, 0.7)})})


def card(model: Path, raw: Path, **origin: object) -> str:
    write_json(raw / "source.json", origin)
    return model_card(model, raw, measures())


def test_the_scores_stand_between_their_reference_rows(model: Path, tmp_path: Path) -> None:
    lines = card(model, tmp_path, source="sample").splitlines()
    assert "## Scores: test, 7 stories" in lines
    assert "Lift 0.62 [0.50, 0.70]." in lines
    at = lines.index("| captions by | clip_cosine | r1 |")
    assert [line.split(" | ")[1] for line in lines[at + 2 : at + 5]] == [
        *("0.80 [0.70, 0.90]", "0.50 [0.40, 0.60]", "0.00 [-0.10, 0.10]")
    ]


def test_the_hub_reads_its_header(model: Path, tmp_path: Path, tiny_gpt2: Path) -> None:
    origin = {"source": "hub", "repo": "a/stories", "license": "cc-by-nd-4.0"}
    data = ModelCard(card(model, tmp_path, **origin)).data
    assert data.license == "cc-by-nd-4.0"
    assert data.datasets == ["a/stories"]
    assert str(tiny_gpt2) in data.base_model


def test_backbones_stand_with_their_digests(model: Path, tmp_path: Path) -> None:
    text = card(model, tmp_path, source="sample")
    encoder = json.loads((model / "encoder.json").read_text())
    config = json.loads((model / "config.json").read_text())
    for digest in (encoder["image_fingerprint"], encoder["text_fingerprint"]):
        assert digest[:16] in text
    assert config["decoder_digest"][:16] in text


def test_captions_that_are_cut_are_told(model: Path, tmp_path: Path) -> None:
    cut = Path(shutil.copytree(model, tmp_path / "cut"))
    Encoder.read(cut).model_copy(update={"max_words": 25}).write(cut)
    assert "captions truncate, their first 25 words; fingerprints" in card(cut, tmp_path)
    assert "captions truncate; fingerprints" in card(model, tmp_path)


@pytest.mark.parametrize(
    ("licence", "warned"),
    [
        *(("cc-by-nd-4.0", True), ("CC BY-NC-ND 4.0", True)),
        *(("cc-by-4.0", False), ("mit and handwritten", False), (None, False)),
    ],
)
def test_data_that_allow_no_derived_works_are_warned_of(
    model: Path, tmp_path: Path, licence: str | None, warned: bool
) -> None:
    text = card(model, tmp_path, source="hub", license=licence)
    assert ("does not allow derived works to be shared" in text) == warned
    assert (licence or "not said by their source") in text


@pytest.mark.parametrize("variant", [None, "cached"])
def test_how_a_model_was_trained(model: Path, tmp_path: Path, variant: str | None) -> None:
    """As its parameters say, whether or not there was a discriminator to keep."""
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    params = json.loads((copy / "params.json").read_text())
    write_json(copy / "params.json", params | ({"gan": {"variant": variant}} if variant else {}))
    text = card(copy, tmp_path, source="sample")
    assert ("then the adversarial stage (cached)" in text) == (variant == "cached")
