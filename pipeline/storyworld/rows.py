"""Stories of the world as rows in StoryReasoning's schema."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Literal

from pipeline.common.process import end_with_parent, holding_signals
from pipeline.storyworld.drawing.pictures import encode_jpeg, take_picture
from pipeline.storyworld.prose import told_story
from pipeline.storyworld.tables import think_aloud

# 85 / 15, spread evenly, so that a bigger sample begins with the same stories.
TEST_OF_20 = frozenset({6, 13, 19})
MIN_STORIES_FOR_A_POOL = 24  # below it, starting the processes costs more than they draw
WIDTHS = range(393, 582)  # pixels, as in StoryReasoning; the height is 240


Row = dict[str, Any]


def sample_rows(stories: int, seed: int, split: Literal["train", "test"]) -> Iterator[Row]:
    """The rows of one split of a sample of `stories` stories in all, drawn on every core.

    Story i depends on `seed` and i alone: the same seed gives the same bytes.
    """
    names = [
        f"{seed}-{index:05d}"
        for index in range(stories)
        if (index % 20 in TEST_OF_20) == (split == "test")
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores > 1 and len(names) >= MIN_STORIES_FOR_A_POOL:
        return _drawn_in_processes(names, cores)
    return map(story_row, names)


def _drawn_in_processes(names: Sequence[str], workers: int) -> Iterator[Row]:
    """Rows in the order of their names, a few ahead of whoever takes them."""
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        ahead: deque[Future[Row]] = deque()
        try:
            for name in names:
                with holding_signals():  # it may start a process
                    ahead.append(pool.submit(story_row, name))
                if len(ahead) > 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for row in ahead:
                row.cancel()


def story_row(name: str) -> Row:
    """One story, all of it drawn from its name (which becomes its `story_id`)."""
    story, text = told_story(name)
    width = random.Random(f"{name} width").choice(WIDTHS)
    pictures = [take_picture(scene, width) for scene in story.scenes]
    return {
        "story_id": name,
        "images": [
            {"bytes": encode_jpeg(picture.image), "path": f"{name}-{i:02d}.jpg"}
            for i, picture in enumerate(pictures)
        ],
        "frame_count": len(story.scenes),
        "chain_of_thought": think_aloud(story, pictures),
        "story": text,
    }
