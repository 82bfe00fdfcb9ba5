"""The whole evaluation on a tiny world, against one story at a time by the plainest means."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation import stories as stories_module
from pipeline.evaluation.references import derangement
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.params import GenerateParams

VAL = ["s1", "s2", "s3", "s4"]
TEST = ["s11", "s10", "s5", "s6", "s7", "s8", "s9"]
K = 3

Made = tuple[dict[str, dict[str, float]], list[dict[str, Any]], Path]


@pytest.fixture(scope="module")
def made(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("out")
    metrics = world.evaluate(out, VAL, TEST)
    lines = (out / "eval/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return metrics, [json.loads(line) for line in lines], out


def story(world: Any, name: str) -> list[dict[str, Any]]:
    """The frames of a story, in order."""
    rows: list[dict[str, Any]] = world.frames.filter(
        pc.equal(world.frames.column("story_id"), name)
    ).to_pylist()
    return rows


def image(world: Any, frame: dict[str, Any]) -> NDArray[np.float32]:
    embedding: NDArray[np.float32] = world.images.lookup([frame["image_key"]])[0]
    return embedding


def text(world: Any, caption: str) -> NDArray[np.float32]:
    embedding: NDArray[np.float32] = world.clip.encode_texts([caption])[0]
    return embedding


def score(world: Any, caption: str, target: NDArray[np.float32]) -> float:
    """Of one caption; an untrained decoder also writes empty ones, which count 0."""
    return plain_cosine(text(world, caption), target) if caption else 0.0


def plain_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def test_metrics_file_holds_what_was_returned(made: Made) -> None:
    metrics, _, out = made
    assert json.loads((out / "m.json").read_text()) == metrics
    assert list(metrics) == ["val", "test"]
    for split, ids in (("val", VAL), ("test", TEST)):
        assert metrics[split]["stories"] == len(ids)
        assert set(metrics[split]) == {
            "clip_cosine",
            "clipscore",
            "clip_cosine_ground_truth",
            "clip_cosine_shuffled",
            "clip_cosine_copy_last",
            "clip_cosine_no_prefix",
            "lift",
            "lift_copy_last",
            "lift_no_prefix",
            "distinct",
            "loss",
            "nll",
            "loss_img",
            "loss_align",
            "nll_other_prefix",
            "image_r1",
            "image_r1_copy_last",
            "stories",
        }


@pytest.mark.parametrize("split", ["val", "test"])
def test_scores_equal_a_plain_implementation(world: Any, made: Made, split: str) -> None:
    metrics, records, _ = made
    ids = {"val": VAL, "test": TEST}[split]
    predictions = {r["story_id"]: r["prediction"] for r in records if r["split"] == split}
    order = derangement(len(ids), world.subject.seed)
    sums = dict.fromkeys(("model", "ground_truth", "copy_last", "shuffled"), 0.0)
    clipscores = 0.0
    for i, name in enumerate(ids):
        frames = story(world, name)
        target = image(world, frames[K])
        captions = {
            "model": predictions[name],
            "ground_truth": frames[K]["caption"],
            "copy_last": frames[K - 1]["caption"],
            "shuffled": story(world, ids[order[i]])[K]["caption"],
        }
        cosines = {row: score(world, c, target) for row, c in captions.items()}
        clipscores += 2.5 * max(cosines["model"], 0)
        for row, value in cosines.items():
            sums[row] += value
    mean = {row: total / len(ids) for row, total in sums.items()}
    got = metrics[split]
    near = {"abs": 2e-4}  # the store keeps float16
    assert got["clip_cosine"] == pytest.approx(mean["model"], **near)
    assert got["clipscore"] == pytest.approx(clipscores / len(ids), **near)
    for row in ("ground_truth", "copy_last", "shuffled"):
        assert got[f"clip_cosine_{row}"] == pytest.approx(mean[row], **near)
    span = mean["ground_truth"] - mean["shuffled"]
    assert got["lift"] == pytest.approx((mean["model"] - mean["shuffled"]) / span, abs=2e-3)
    lift_copy = (mean["copy_last"] - mean["shuffled"]) / span
    assert got["lift_copy_last"] == pytest.approx(lift_copy, abs=2e-3)
    assert got["distinct"] == len(set(predictions.values())) / len(ids)


@torch.no_grad()
def plain_nll(world: Any, prompt_of: str, prefix_of: str) -> tuple[float, int]:
    """Nats and tokens of a story's target, by one forward over its whole sequence."""
    generator, prompts = world.subject.generator, world.subject.prompts
    captions = [frame["caption"] for frame in story(world, prompt_of)]
    prompt, target = prompts.example_ids(captions[:K], captions[K])
    context = story(world, prefix_of)[:K]
    images = torch.from_numpy(np.stack([image(world, frame) for frame in context]))
    keys = [frame["caption_key"] for frame in context]
    texts = torch.from_numpy(world.texts.lookup(keys))
    prefix = generator.encode(images[None], texts[None]).prefix
    sequence = generator.decoder.embed(prefix, torch.tensor([prompt + target]))
    scores = generator.decoder.lm(inputs_embeds=sequence).logits[0].log_softmax(-1)
    first = prefix.shape[1] + len(prompt) - 1
    nats = -sum(float(scores[first + i, token]) for i, token in enumerate(target))
    return nats, len(target)


def test_likelihoods_equal_a_plain_implementation(world: Any, made: Made) -> None:
    order = derangement(len(TEST), world.subject.seed)
    own = [plain_nll(world, name, name) for name in TEST]
    other = [plain_nll(world, name, TEST[order[i]]) for i, name in enumerate(TEST)]
    got = made[0]["test"]
    for name, pairs in (("nll", own), ("nll_other_prefix", other)):
        expected = sum(nats for nats, _ in pairs) / sum(tokens for _, tokens in pairs)
        assert got[name] == pytest.approx(expected, rel=1e-4)
    assert got["nll"] != got["nll_other_prefix"]


def test_the_loss_is_the_weighted_sum_of_its_parts(made: Made) -> None:
    for got in made[0].values():
        expected = got["nll"] + 0.5 * got["loss_img"] + 0.25 * got["loss_align"]
        assert got["loss"] == pytest.approx(expected, abs=1e-5)


def test_good_captions_beat_bad_ones(made: Made) -> None:
    """Where images resemble their captions, the truth scores far above another story's caption."""
    for got in made[0].values():
        assert got["clip_cosine_ground_truth"] > got["clip_cosine_shuffled"]
        assert got["clip_cosine_ground_truth"] > got["clip_cosine"]


def test_every_prediction_is_recorded(world: Any, made: Made) -> None:
    metrics, records, _ = made
    assert [(r["split"], r["story_id"]) for r in records] == [
        *(("val", name) for name in VAL),
        *(("test", name) for name in TEST),
    ]
    for record in records:
        frames = story(world, record["story_id"])
        assert record["context"] == [frame["caption"] for frame in frames[:K]]
        assert record["reference"] == frames[K]["caption"]
        assert record["target_image"] == {
            "file": "test/00000.parquet",
            "row": frames[K]["image_row"],
            "index": K,
        }
        assert [place["index"] for place in record["context_images"]] == [0, 1, 2]
        assert isinstance(record["finished"], bool)
        assert record["score"] == record["scores"]["model"]
        assert record["reference_score"] == record["scores"]["ground_truth"]
    scores = [r["score"] for r in records if r["split"] == "test"]
    assert metrics["test"]["clip_cosine"] == pytest.approx(np.mean(scores), abs=2e-6)


def test_histograms_count_every_story_in_every_row(made: Made) -> None:
    for split in ("val", "test"):
        bins = json.loads((made[2] / f"eval/score_histogram_{split}.json").read_text())
        for row in ("model", "ground_truth", "shuffled", "copy_last", "no_prefix"):
            assert sum(entry[row] for entry in bins) == pytest.approx(1.0, abs=1e-4)


def test_two_runs_write_the_same_bytes(world: Any, made: Made, tmp_path: Path) -> None:
    world.evaluate(tmp_path, VAL, TEST)
    for name in ("m.json", "eval/predictions.jsonl", "eval/score_histogram_test.json"):
        assert (tmp_path / name).read_bytes() == (made[2] / name).read_bytes()
    assert not list(tmp_path.rglob("*.partial"))


def test_chunks_change_nothing(
    world: Any, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stories come in chunks to bound memory; how many at a time must not be seen in the result."""
    chunks = stories_module.SplitStories.chunks
    monkeypatch.setattr(
        stories_module.SplitStories, "chunks", lambda self, stories=3: chunks(self, 3)
    )
    assert world.evaluate(tmp_path, VAL, TEST) == made[0]


def test_a_nucleus_sample_is_reproducible(
    world: Any, tmp_path: Path, generate_settings: Callable[..., GenerateParams]
) -> None:
    params = generate_settings(strategy="nucleus", temperature=2.0)
    first = world.evaluate(tmp_path / "a", VAL, [], generate=params)
    assert world.evaluate(tmp_path / "b", VAL, [], generate=params) == first


def test_a_prefix_for_clip_reaches_every_row(world: Any, made: Made, tmp_path: Path) -> None:
    scorer = CaptionScorer(world.clip, "A photo depicts")
    got = world.evaluate(tmp_path, VAL, [], scorer=scorer)["val"]
    expected = np.mean(
        [
            plain_cosine(
                text(world, f"A photo depicts {story(world, name)[K]['caption']}"),
                image(world, story(world, name)[K]),
            )
            for name in VAL
        ]
    )
    assert got["clip_cosine_ground_truth"] == pytest.approx(expected, abs=2e-4)
    for row in ("", "_shuffled", "_copy_last", "_no_prefix"):
        assert got[f"clip_cosine{row}"] != made[0]["val"][f"clip_cosine{row}"]


def test_one_story_has_no_other(world: Any, tmp_path: Path) -> None:
    got = world.evaluate(tmp_path, ["s1"], [])
    assert list(got) == ["val"]
    needs_another = {"clip_cosine_shuffled", "lift", "nll_other_prefix", "image_r1"}
    assert not needs_another & set(got["val"])
    assert {"clip_cosine", "clip_cosine_copy_last", "nll", "stories"} <= set(got["val"])


def test_a_split_without_stories_is_named(
    world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(world.evaluate(tmp_path, [], VAL)) == ["test"]
    assert "split val has no stories" in capsys.readouterr().err


def test_no_stories_at_all_is_refused_before_anything_is_written(
    world: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="neither val nor test has a story"):
        world.evaluate(tmp_path, [], [])
    assert not list(tmp_path.iterdir())
