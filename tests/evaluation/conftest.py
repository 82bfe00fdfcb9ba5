"""A little evaluation: real features of random CLIP, an untrained generator, a few stories."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.captioning.choose import Captioner
from pipeline.clip.frozen import FrozenClip
from pipeline.evaluation.evaluate import Subject, evaluate
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.features.store import FeatureStore
from pipeline.model.language_model import load_prompts
from pipeline.params import GenerateParams, LossParams
from pipeline.prepare.annotations import annotations
from pipeline.prepare.grounding import frame_captions
from pipeline.stories.annotations import Annotation, writing_annotations
from pipeline.stories.frames import read_frames
from pipeline.storyworld.rows import story_row
from tests.world import (
    World,
    jpeg,
    load_clip,
    tiny_config,
    tiny_generator,
    write_features,
    write_world,
)

GENERATE = GenerateParams(max_new_tokens=12, batch_size=4)
PEOPLE = {"Mara": "char1", "Tom": "char2"}
THINGS = {"lamp": "obj1", "letter": "obj2", "box": "obj3", "lantern": "obj4", "key": "obj5"}
PLACES = {"garden": "bg1", "river": "bg2", "station": "lm1"}
WORDS = (
    "Mara Tom the a old red lamp letter garden river station train tea night box lantern key "
    "opens carries hides looks runs waits pours walks is not lit beside under behind again"
).split()


def annotate(files: World, stories: dict[str, list[tuple[bytes, str]]]) -> None:
    """Write annotations as if every person, thing and place in a caption were tagged."""
    kinds = {"person": PEOPLE, "thing": THINGS, "place": PLACES}
    with writing_annotations(files.annotations) as table:
        for story, frames in stories.items():
            rows = annotations(story, [caption for _, caption in frames], "", None)
            for row in rows:
                row["mentions"] = [
                    {"kind": kind, "ids": ids[word], "text": word, "told": True}
                    for word in row["caption"].split()
                    for kind, ids in kinds.items()
                    if word in ids
                ]
            table.add(rows)


@dataclass
class Setting:
    """Stories `s0`, `s1`, ... of five frames, and everything that `evaluate` asks for."""

    files: World
    frames: pa.Table
    images: FeatureStore
    texts: FeatureStore
    clip: FrozenClip
    judge: FrozenClip
    subject: Subject

    def evaluate(
        self,
        out: Path,
        val: list[str],
        test: list[str],
        generate: GenerateParams = GENERATE,
        **changes: Any,
    ) -> dict[str, dict[str, float]]:
        captioner = replace(self.subject.captioner, params=generate)
        return evaluate(
            replace(self.subject, captioner=captioner, **changes),
            self.files.frames,
            self.files.annotations,
            {"train": ["s0"], "val": val, "test": test},
            self.images,
            self.texts,
            out / "eval",
            out / "m.json",
        )


@pytest.fixture(scope="session")
def setting(tiny_clip, tiny_gpt2, tiny_judge, tmp_path_factory) -> Setting:
    """Image embeddings are the caption's text embedding plus noise, as if CLIP were a good one."""
    random = np.random.default_rng(0)
    stories = {
        f"s{s}": [
            (jpeg(5 * s + i), " ".join(random.choice(WORDS, size=random.integers(4, 30))))
            for i in range(5)
        ]
        for s in range(12)
    }
    clip, judge = load_clip(tiny_clip), load_clip(tiny_judge)
    files = write_world(tmp_path_factory.mktemp("evaluated"), test=stories)
    texts = clip.encode_texts(files.captions)
    annotate(files, stories)
    write_features(files, clip, texts + random.normal(size=texts.shape) * 0.02, texts)
    config = tiny_config(tiny_gpt2, k=3, prompt={"words_per_caption": 8})
    subject = Subject(
        captioner=Captioner(
            tiny_generator(config, loudness=6.0).eval(), load_prompts(config), clip, GENERATE
        ),
        scorer=CaptionScorer(clip, ""),
        judge=Judge(judge, "", files.raw),
        discriminator=None,
        loss=LossParams(lambda_=0.25),
        loss_batch_size=3,
        seed=0,
    )
    images, stored = FeatureStore.open(files.images), FeatureStore.open(files.texts)
    return Setting(files, read_frames(files.frames), images, stored, clip, judge, subject)


@dataclass(frozen=True)
class Sample:
    """Annotations of frames of the sample's stories, in their order."""

    train: list[Annotation]
    held_out: list[Annotation]


@pytest.fixture(scope="session")
def sample() -> Sample:
    def frames(names: list[str]) -> list[Annotation]:
        found = []
        for row in map(story_row, names):
            captions = frame_captions(row["story"], row["frame_count"])
            text, thoughts = row["story"], row["chain_of_thought"]
            found += annotations(row["story_id"], captions, text, thoughts)
        return found

    return Sample(*(frames([f"{seed}-{n:05d}" for n in range(24)]) for seed in (3, 4)))
