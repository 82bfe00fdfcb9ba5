"""The whole evaluation on a tiny setting, against one story at a time by the plainest means."""

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from numpy.typing import NDArray

from pipeline.common.errors import UserError
from pipeline.evaluation import evaluate as evaluate_module
from pipeline.evaluation import stories as stories_module
from pipeline.evaluation.agreement import FIELDS
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.metrics import HEADLINE, OF_A_ROW, OF_A_SPLIT
from pipeline.evaluation.references import ROWS, derangement
from pipeline.evaluation.scorer import CaptionScorer
from tests.evaluation.conftest import GENERATE, PEOPLE, PLACES, THINGS
from tests.oracle import cosine, token_nll
from tests.world import jpeg, write_world

OF_ANNOTATIONS = (
    *("mentions_right", "mentions", "entities_found", "entities", "mentions_nowhere"),
    *("things_found", "things", "places_found", "places"),
    *("names_right", "names", "cast_found", "cast", "names_nowhere"),
)
OF_MENTIONS = {"entity_precision", "hallucination_rate", "name_precision", "invented_names"}
"""What a row may lack whose captions mention nothing, or nobody by name."""
VAL = ["s1", "s2", "s3", "s4"]
TEST = ["s11", "s10", "s5", "s6", "s7", "s8", "s9"]
K = 3

Made = tuple[dict[str, dict[str, float]], list[dict[str, Any]], Path]


@pytest.fixture(scope="module")
def made(setting: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("out")
    metrics = setting.evaluate(out, VAL, TEST)
    lines = (out / "eval/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return metrics, [json.loads(line) for line in lines], out


def story(setting: Any, name: str) -> list[dict[str, Any]]:
    """The frames of a story, in order."""
    rows: list[dict[str, Any]] = setting.frames.filter(
        pc.equal(setting.frames.column("story_id"), name)
    ).to_pylist()
    return rows


def image(setting: Any, frame: dict[str, Any]) -> NDArray[np.float32]:
    embedding: NDArray[np.float32] = setting.images.lookup([frame["image_key"]])[0]
    return embedding


def text(setting: Any, caption: str) -> NDArray[np.float32]:
    embedding: NDArray[np.float32] = setting.clip.encode_texts([caption])[0]
    return embedding


def score(setting: Any, caption: str, target: NDArray[np.float32]) -> float:
    """Of one caption; an untrained decoder also writes empty ones, which count 0."""
    return cosine(text(setting, caption), target) if caption else 0.0


def full(made: Made) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((made[2] / "eval/metrics_full.json").read_text())
    return content


def test_the_files_hold_every_row_and_metric(setting: Any, made: Made) -> None:
    metrics, _, out = made
    assert json.loads((out / "m.json").read_text()) == metrics
    content = full(made)
    tokenizer = content["settings"].pop("tokenizer")
    assert tokenizer.startswith("13a, lower case")
    assert content["settings"] == {
        "clip": setting.clip.folder.model,
        "judge": setting.judge.folder.model,
        "clip_prefix": "",
        "draws": 10_000,
        "level": 0.95,
        "seed": 0,
    }
    of_the_critic = {"d_accuracy_generated", "d_accuracy_shuffled"}
    assert list(metrics) == list(content["splits"]) == ["val", "test"]
    for split, summary in content["splits"].items():
        count = {"val": len(VAL), "test": len(TEST)}[split]
        assert metrics[split]["stories"] == summary["stories"] == count
        # A random judge may have no lift, and a random decoder may mention nothing.
        optional = {"lift_low", "lift_high", "judge_lift", "hallucination_rate"}
        names = {*HEADLINE, "stories"} - of_the_critic
        assert set(metrics[split]) - optional == names - optional
        assert list(summary["rows"]) == list(ROWS)
        for row, found in summary["rows"].items():
            own = {"finished"} if row not in ("model", "no_prefix") else set()
            own |= {f"{field}_agreement" for field in FIELDS}  # five training frames are too few
            lacks = {metric.name for metric in OF_A_ROW} - set(found)
            assert set(found) <= {metric.name for metric in OF_A_ROW}
            assert own <= lacks <= own | OF_MENTIONS
            assert all(list(measured) == ["value", "low", "high"] for measured in found.values())
        names = {metric.name for metric in OF_A_SPLIT} - of_the_critic
        assert set(summary["figures"]) - optional == names - optional


def test_the_truth_is_the_best_caption(made: Made) -> None:
    """Images resemble their captions here, and the truth is what words are compared with."""
    for summary in full(made)["splits"].values():
        value = {row: {n: m["value"] for n, m in of.items()} for row, of in summary["rows"].items()}
        for metric in (
            *("clip_cosine", "ref_clipscore", "bleu4", "rouge_l", "cider_d"),
            *("r1", "r1_same_story"),
        ):
            for row in set(value) - {"ground_truth"}:
                assert value["ground_truth"][metric] > value[row][metric], (row, metric)
        assert value["ground_truth"]["bleu4"] == pytest.approx(100)
        assert value["ground_truth"]["rouge_l"] == 1.0


def test_every_prediction_is_recorded(setting: Any, made: Made) -> None:
    metrics, records, _ = made
    assert [(record["split"], record["story_id"]) for record in records] == [
        *(("val", name) for name in VAL),
        *(("test", name) for name in TEST),
    ]
    every = {frame["caption"]: frame for frame in setting.frames.to_pylist()}
    for record in records:
        captions, frames = record["captions"], story(setting, record["story_id"])
        assert record["context"] == [frame["caption"] for frame in frames[:K]]
        at = {"file": "test/00000.parquet", "row": frames[K]["image_row"]}
        assert record["context_images"] == [{**at, "index": i} for i in range(K)]
        assert record["target_image"] == {**at, "index": K}
        assert captions["model"] == record["prediction"]
        assert captions["ground_truth"] == record["reference"] == frames[K]["caption"]
        assert captions["copy_last"] == frames[K - 1]["caption"]
        assert captions["copy_before_last"] == frames[K - 2]["caption"]
        same = every[captions["same_story"]]
        assert same["story_id"] == record["story_id"] and same["frame_index"] != K
        assert every[captions["shuffled"]]["story_id"] != record["story_id"]
        assert every[captions["nearest_train"]]["story_id"] == "s0", "the one story of train"
        assert isinstance(record["finished"], bool)
        assert set(captions) == set(record["scores"]) == set(record["judge_scores"])
        assert record["score"] == record["scores"]["model"]
        assert record["reference_score"] == record["scores"]["ground_truth"]
        assert list(record["metrics"]) == [
            *("clipscore", "ref_clipscore", "clip_cosine_sentences", "rank_same_story"),
            *("rouge_l", "cider_d", *OF_ANNOTATIONS, "words"),
        ]
    scores = [record["score"] for record in records if record["split"] == "test"]
    assert metrics["test"]["clip_cosine"] == pytest.approx(np.mean(scores), abs=2e-6)


def test_the_judge_sees_the_target_image_itself(setting: Any, made: Made) -> None:
    """Against the judge run over the picture of one story at a time."""
    from pipeline.features.sources import stream_images

    place = {(f["story_id"], f["frame_index"]): i for i, f in enumerate(setting.frames.to_pylist())}
    for record in made[1]:
        row = np.array([place[record["story_id"], K]])
        (target,) = stream_images(setting.files.raw, setting.files.frames, row)
        pixels = setting.judge.preprocess(target.data)[None]
        seen = setting.judge.encode_images(pixels)[0]
        for name, caption in record["captions"].items():
            said = setting.judge.encode_texts([caption])[0] if caption else np.zeros_like(seen)
            expected = cosine(said, seen)
            assert record["judge_scores"][name] == pytest.approx(expected, abs=2e-3)
        assert record["judge_score"] == record["judge_scores"]["model"]


def test_ranks_and_scores_of_the_model_by_a_plain_search(setting: Any, made: Made) -> None:
    for split, ids in (("val", VAL), ("test", TEST)):
        targets = np.stack([image(setting, story(setting, name)[K]) for name in ids])
        ranks = []
        for record in (r for r in made[1] if r["split"] == split):
            own = ids.index(record["story_id"])
            caption = record["prediction"]
            if caption:
                cosines = [cosine(text(setting, caption), target) for target in targets]
                place = sorted(range(len(ids)), key=lambda i: -cosines[i]).index(own) + 1
            else:
                place = len(ids)
            assert record["rank"] == place
            ranks.append(place)
            metrics = record["metrics"]
            assert metrics["clipscore"] == pytest.approx(2.5 * max(record["score"], 0), abs=1e-5)
            assert metrics["words"] == len(caption.split())
        found = full(made)["splits"][split]["rows"]["model"]
        assert found["r1"]["value"] == pytest.approx(ranks.count(1) / len(ids), abs=1e-6)
        assert found["median_rank"]["value"] == sorted(ranks)[(len(ids) - 1) // 2]


def test_a_second_run_encodes_nothing_and_writes_the_same_bytes(
    setting: Any, made: Made, tmp_path: Path
) -> None:
    """The first with an encode cache of its own: the same numbers, not only the same cache."""
    home = Path(os.environ["STORYCACHE_HOME"])

    def run(out: Path) -> dict[Path, int]:
        encoders = {
            "scorer": CaptionScorer(setting.clip, ""),
            "judge": Judge(setting.judge, "", setting.files.raw),
        }
        setting.evaluate(out, VAL, TEST, **encoders)
        written = sorted(path.name for path in (out / "eval").iterdir())
        assert len(written) == 9
        for name in ("m.json", *(f"eval/{name}" for name in written)):
            assert (out / name).read_bytes() == (made[2] / name).read_bytes()
        return {path: path.stat().st_mtime_ns for path in home.rglob("*.h5")}

    kept = run(tmp_path / "a")
    assert {path.parent.name.split("-")[0] for path in kept} == {"image", "text"}
    assert run(tmp_path / "b") == kept
    assert not list(tmp_path.rglob("*.partial"))


def test_without_a_judge_its_figures_are_left_out(setting: Any, made: Made, tmp_path: Path) -> None:
    got = setting.evaluate(tmp_path, VAL, [], judge=None)["val"]
    assert got == {name: value for name, value in made[0]["val"].items() if name != "judge_lift"}
    content = json.loads((tmp_path / "eval/metrics_full.json").read_text())
    assert content["settings"]["judge"] is None
    record = json.loads((tmp_path / "eval/predictions.jsonl").read_text().splitlines()[0])
    assert record["judge_score"] is None and record["judge_scores"] == {}


@pytest.mark.parametrize("split", ["val", "test"])
def test_scores_equal_a_plain_implementation(setting: Any, made: Made, split: str) -> None:
    metrics, records, _ = made
    ids = {"val": VAL, "test": TEST}[split]
    predictions = {r["story_id"]: r["prediction"] for r in records if r["split"] == split}
    order = derangement(len(ids), setting.subject.seed)
    sums = dict.fromkeys(("model", "ground_truth", "copy_last", "shuffled"), 0.0)
    clipscores = 0.0
    for i, name in enumerate(ids):
        frames = story(setting, name)
        target = image(setting, frames[K])
        captions = {
            "model": predictions[name],
            "ground_truth": frames[K]["caption"],
            "copy_last": frames[K - 1]["caption"],
            "shuffled": story(setting, ids[order[i]])[K]["caption"],
        }
        cosines = {row: score(setting, c, target) for row, c in captions.items()}
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
    assert got["distinct"] == pytest.approx(len(set(predictions.values())) / len(ids), abs=1e-6)


@pytest.mark.parametrize("split", ["val", "test"])
def test_what_annotations_say_equals_a_plain_count(setting: Any, made: Made, split: str) -> None:
    """Every word of the vocabulary that names somebody, something or some place is tagged here."""
    named = {*PEOPLE, *THINGS, *PLACES}
    rows = full(made)["splits"][split]["rows"]
    for row in ROWS:
        sums: Counter[str] = Counter()
        for record in (r for r in made[1] if r["split"] == split):
            target, *context = (
                {*caption.split()} & named for caption in (record["reference"], *record["context"])
            )
            if not target:
                continue
            known = {word for f in story(setting, "s0") for word in f["caption"].split()}
            known |= target.union(*context)
            read = {*re.findall(r"\w+", record["captions"][row])} & named & known
            sums.update(
                mentions=len(read),
                right=len(read & target),
                nowhere=len(read - target.union(*context)),
                told=len(target),
                things=len(target & {*THINGS}),
                right_things=len(read & target & {*THINGS}),
                names=len(read & {*PEOPLE}),
                right_names=len(read & target & {*PEOPLE}),
            )
        for metric, part, whole in (
            ("entity_precision", "right", "mentions"),
            ("entity_recall", "right", "told"),
            ("hallucination_rate", "nowhere", "mentions"),
            ("name_precision", "right_names", "names"),
            ("thing_recall", "right_things", "things"),
        ):
            if sums[whole]:
                expected = sums[part] / sums[whole]
                assert rows[row][metric]["value"] == pytest.approx(expected, abs=1e-6), (
                    row,
                    metric,
                )
            else:
                assert metric not in rows[row]
    assert rows["ground_truth"]["entity_f1"]["value"] == 1.0


def test_annotations_of_other_frames_are_refused_before_anything_is_written(
    setting: Any, tmp_path: Path
) -> None:
    other = write_world(tmp_path / "other", {"s1": [(jpeg(0, 10, 6), "A lamp.")] * 5})
    files = replace(setting.files, annotations=other.annotations)
    with pytest.raises(UserError, match="annotates other frames"):
        replace(setting, files=files).evaluate(tmp_path / "out", VAL, TEST)
    assert not (tmp_path / "out").exists()


def context_vectors(setting: Any, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of a story's context images and of its captions, [K, D] each."""
    context = story(setting, name)[:K]
    images = np.stack([image(setting, frame) for frame in context])
    return images, setting.texts.lookup([frame["caption_key"] for frame in context])


@torch.no_grad()
def plain_nll(
    setting: Any, prompt_of: str, prefix_of: str | None, hide: tuple[Any, Any] = (None, None)
) -> tuple[float, int]:
    """Nats and tokens of a story's target, by one forward over its whole sequence.

    `hide` puts one vector in the place of every image's or every caption's embedding.
    """
    generator, prompts = setting.subject.captioner.generator, setting.subject.captioner.prompts
    captions = [frame["caption"] for frame in story(setting, prompt_of)]
    prompt, target = prompts.example_ids(captions[:K], captions[K])
    prefix = None
    if prefix_of is not None:
        vectors = context_vectors(setting, prefix_of)
        shown = [
            np.stack([hidden] * K) if hidden is not None else own
            for own, hidden in zip(vectors, hide, strict=True)
        ]
        prefix = generator.encode(*(torch.from_numpy(part)[None] for part in shown)).prefix[0]
    nats = token_nll(generator.decoder.lm, prefix, prompt, target)
    return float(nats.sum()), len(target)


def test_likelihoods_equal_a_plain_implementation(setting: Any, made: Made) -> None:
    order = derangement(len(TEST), setting.subject.seed)
    contexts = [context_vectors(setting, name) for name in TEST]
    no_image, no_text = (np.concatenate(part).mean(axis=0) for part in zip(*contexts, strict=True))
    conditions = {
        "nll": [plain_nll(setting, name, name) for name in TEST],
        "nll_other_prefix": [
            plain_nll(setting, name, TEST[order[i]]) for i, name in enumerate(TEST)
        ],
        "nll_images_only": [plain_nll(setting, name, name, (None, no_text)) for name in TEST],
        "nll_texts_only": [plain_nll(setting, name, name, (no_image, None)) for name in TEST],
        "nll_no_prefix": [plain_nll(setting, name, None) for name in TEST],
    }
    got = {
        name: figure["value"] for name, figure in full(made)["splits"]["test"]["figures"].items()
    }
    for name, pairs in conditions.items():
        expected = sum(nats for nats, _ in pairs) / sum(tokens for _, tokens in pairs)
        assert got[name] == pytest.approx(expected, rel=1e-4)
    assert len({got[name] for name in conditions}) == len(conditions)
    for name in ("other_prefix", "images_only", "texts_only", "no_prefix"):
        assert got[f"nll_gap_{name}"] == pytest.approx(got[f"nll_{name}"] - got["nll"], abs=2e-6)
    records = {r["story_id"]: r for r in made[1]}
    for i, name in enumerate(TEST):
        nats, tokens = conditions["nll_other_prefix"][i]
        assert records[name]["nats"]["nll_other_prefix"] == pytest.approx(nats, rel=1e-4)
        assert records[name]["target_tokens"] == tokens


def test_the_loss_is_the_weighted_sum_of_its_parts(made: Made) -> None:
    for got in made[0].values():
        expected = got["nll"] + 0.5 * got["loss_img"] + 0.25 * got["loss_align"]
        assert got["loss"] == pytest.approx(expected, abs=1e-5)


def test_histograms_count_every_story_in_every_row(made: Made) -> None:
    for name, rows in (
        ("score_histogram_val", set(ROWS)),
        ("score_histogram_test", set(ROWS)),
        ("words_histogram_test", {"model", "ground_truth", "no_prefix"}),
    ):
        sums: Counter[str] = Counter()
        for point in json.loads((made[2] / f"eval/{name}.json").read_text()):
            sums[point["row"]] += point["share"]
        assert sums == pytest.approx(dict.fromkeys(rows, 1.0), abs=1e-4)


def test_chunks_change_nothing(
    setting: Any, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stories come in chunks to bound memory; how many at a time must not be seen in the result."""
    chunks = stories_module.SplitStories.chunks
    monkeypatch.setattr(
        stories_module.SplitStories, "chunks", lambda self, stories=3: chunks(self, 3)
    )
    assert setting.evaluate(tmp_path, VAL, TEST) == made[0]


def test_pools_change_only_what_compares_captions_with_each_other(
    setting: Any, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "CAPTION_POOL", 3)
    setting.evaluate(tmp_path, VAL, TEST)
    within_pools = {"cider_d", "distinct_1", "distinct_2", "self_bleu"}
    content = json.loads((tmp_path / "eval/metrics_full.json").read_text())
    for split, summary in full(made)["splits"].items():
        assert content["splits"][split]["figures"] == summary["figures"]
        for row, metrics in summary["rows"].items():
            other = content["splits"][split]["rows"][row]
            changed = {name for name in metrics if metrics[name] != other[name]}
            assert changed <= within_pools, row


def test_a_nucleus_sample_is_reproducible(setting: Any, tmp_path: Path) -> None:
    params = GENERATE.model_copy(update={"strategy": "nucleus", "temperature": 2.0})
    first = setting.evaluate(tmp_path / "a", VAL, [], generate=params)
    assert setting.evaluate(tmp_path / "b", VAL, [], generate=params) == first


def test_retrieval_puts_the_nearest_training_caption_in_the_models_place(
    setting: Any, tmp_path: Path
) -> None:
    params = GENERATE.model_copy(update={"strategy": "retrieve"})
    setting.evaluate(tmp_path, VAL, [], generate=params)
    lines = (tmp_path / "eval/predictions.jsonl").read_text().splitlines()
    assert len(lines) == len(VAL)
    for record in map(json.loads, lines):
        assert record["prediction"] == record["captions"]["nearest_train"]
        assert record["captions"]["no_prefix"] != record["prediction"], "which the decoder wrote"
        assert record["finished"]


def test_a_prefix_for_clip_reaches_every_row(setting: Any, made: Made, tmp_path: Path) -> None:
    scorer = CaptionScorer(setting.clip, "A photo depicts")
    got = setting.evaluate(tmp_path, VAL, [], scorer=scorer)["val"]
    expected = np.mean(
        [
            cosine(
                text(setting, f"A photo depicts {story(setting, name)[K]['caption']}"),
                image(setting, story(setting, name)[K]),
            )
            for name in VAL
        ]
    )
    assert got["clip_cosine_ground_truth"] == pytest.approx(expected, abs=2e-4)
    for row in ("", "_shuffled", "_copy_last", "_no_prefix"):
        assert got[f"clip_cosine{row}"] != made[0]["val"][f"clip_cosine{row}"]


def test_one_story_has_no_other(setting: Any, tmp_path: Path) -> None:
    got = setting.evaluate(tmp_path, ["s1"], [])
    assert list(got) == ["val"]
    needs_another = {"clip_cosine_shuffled", "lift", "nll_other_prefix", "image_r1", "r1"}
    assert not needs_another & set(got["val"])
    assert {"clip_cosine", "clip_cosine_copy_last", "nll", "stories"} <= set(got["val"])


def test_a_split_without_stories_is_named(
    setting: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(setting.evaluate(tmp_path, [], VAL)) == ["test"]
    assert "split val has no stories" in capsys.readouterr().err


def test_no_stories_at_all_is_refused_before_anything_is_written(
    setting: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="neither val nor test has a story"):
        setting.evaluate(tmp_path, [], [])
    assert not list(tmp_path.iterdir())
