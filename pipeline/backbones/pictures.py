"""Drawn frames with captions and attributes: what the sample CLIP and the judge learn from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.common.progress import progress_bar
from pipeline.prepare.grounding import frame_captions
from pipeline.storyworld.arcs import Story, play_story
from pipeline.storyworld.drawing.pictures import draw_scene
from pipeline.storyworld.prose import tell_story
from pipeline.storyworld.rows import WIDTHS
from pipeline.storyworld.world import (
    ACTIONS,
    COLOURS,
    GARMENTS,
    HAIR_COLOURS,
    HAIR_STYLES,
    MOODS,
    PLACES,
    PROPS,
    SHOTS,
    TIMES,
    WEATHERS,
    Scene,
)

# What can be seen: its values, and how a scene shows it.
ATTRIBUTES: dict[str, tuple[tuple[str | None, ...], Callable[[Scene], str | None]]] = {
    "place": (PLACES, lambda scene: scene.place),
    "time of day": (TIMES, lambda scene: scene.time),
    "weather": (WEATHERS, lambda scene: scene.weather),
    "shot": (SHOTS, lambda scene: scene.shot),
    "action": (ACTIONS, lambda scene: scene.action),
    "main prop": (PROPS, lambda scene: scene.prop),
    "clothes' colour": (COLOURS, lambda scene: scene.subject.colour),
    "garment": (GARMENTS, lambda scene: scene.subject.garment),
    "hair style": (HAIR_STYLES, lambda scene: scene.subject.hair_style),
    "hair colour": (HAIR_COLOURS, lambda scene: scene.subject.hair_colour),
    "mood": (MOODS, lambda scene: scene.mood),
    "sign": (PROPS, lambda scene: scene.sign),
    "omen": ((None, *WEATHERS), lambda scene: scene.omen),
    "companion's colour": (
        (None, *COLOURS),
        lambda scene: scene.companion.colour if scene.companion else None,
    ),
}
# Those that captions tell within CLIP's reach; the others are in the pictures alone.
TOLD = (
    "place",
    "time of day",
    "weather",
    "shot",
    "action",
    "main prop",
    "clothes' colour",
    "garment",
    "hair style",
    "hair colour",
)


@dataclass(frozen=True)
class Frames:
    """`pixels` [N, size, size, 3] uint8, `labels` [N, attributes] int64, and each frame's story."""

    pixels: np.ndarray
    labels: np.ndarray
    stories: list[Story]
    story_of: np.ndarray  # [N], index into `stories`
    frame_of: np.ndarray  # [N], index into the story's frames

    def captions(self, telling: str) -> list[str]:
        """Every frame's caption; another `telling` tells the same scenes in other words."""
        told = [
            frame_captions(tell_story(story, random.Random(f"{telling} {i}")), len(story.scenes))
            for i, story in enumerate(self.stories)
        ]
        pairs = zip(self.story_of, self.frame_of, strict=True)
        return [told[story][frame] for story, frame in pairs]


def labels_of(scene: Scene) -> list[int]:
    """The class of each of `ATTRIBUTES`."""
    return [values.index(shown(scene)) for values, shown in ATTRIBUTES.values()]


def draw_frames(prefix: str, n_stories: int, frames_per_story: int, size: int) -> Frames:
    """Some frames of `n_stories` stories named `prefix-…`, cropped and scaled as CLIP will."""
    stories, pixels, labels, story_of, frame_of = [], [], [], [], []
    for i, (story, picked, width) in enumerate(
        progress_bar(_stories(prefix, n_stories, frames_per_story), total=n_stories, desc="draw")
    ):
        stories.append(story)
        for frame in picked:
            scene = story.scenes[frame]
            pixels.append(centre(draw_scene(scene, width), size))
            labels.append(labels_of(scene))
            story_of.append(i)
            frame_of.append(frame)
    return Frames(
        np.stack(pixels), np.array(labels), stories, np.array(story_of), np.array(frame_of)
    )


def centre(image: Image.Image, size: int) -> np.ndarray:
    """The central square at `size` pixels, as CLIP's image processor cuts it."""
    left = (image.width - image.height) // 2
    box = (left, 0, left + image.height, image.height)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _stories(prefix: str, n: int, frames: int) -> Iterator[tuple[Story, list[int], int]]:
    for i in range(n):
        rng = random.Random(f"{prefix}-{i}")
        story = play_story(rng)
        picked = rng.sample(range(len(story.scenes)), min(frames, len(story.scenes)))
        yield story, picked, rng.choice(WIDTHS)
