"""Which stories train, validate and test: stratified by length, drawn by hash of their ids."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.stories.frames import read_frames

PARTS = ("train", "val", "test")
BINS = {"5-7": (5, 7), "8-11": (8, 11), "12-15": (12, 15), "16+": (16, None)}  # frames
SHORTER = "under 5"  # such stories can be used only with a context of fewer than 4 frames
CARVED = 0.1  # share of val, and of test, in `carved`


@dataclass(frozen=True)
class StoryLength:
    """A story as far as splitting needs it."""

    story_id: str
    split: str  # the dataset's own
    n_frames: int


def story_lengths(frames: Path) -> list[StoryLength]:
    """Read the stories of a table of frames, one entry per story, in the table's order.

    Raises:
        UserError: if the file is missing or is not a table of frames.
    """
    table = read_frames(frames, ["story_id", "split", "n_frames"], {"frame_index": [0]})
    return [StoryLength(**row) for row in table.to_pylist()]


def make_splits(
    stories: list[StoryLength],
    k: int,
    test: Literal["official", "carved"],
    val_fraction: float,
    seed: int,
) -> dict[str, Any]:
    """Divide the stories that have at least K+1 frames into train, val and test.

    `official`: the dataset's test stories are test, its train stories give val and train.
    `carved`: the dataset's train stories give 80 % train, 10 % val, 10 % test; its test stories are
    left alone. Every part has the bins of `BINS` in the same proportions, as nearly as whole
    stories allow. What a story is drawn for depends on the seed and its id, so neither the order of
    the rows nor, much, stories that come or go elsewhere move it.

    Args:
        stories: ids are unique.
        k: frames of context.
        test: where test stories come from.
        val_fraction: share of the dataset's train stories for val, in `official`.
        seed: of the draw.

    Returns:
        `train`, `val`, `test`: story ids, sorted; `bins`: for each of them, stories per bin.

    Raises:
        UserError: if a part would be empty.
    """
    usable = [story for story in stories if story.n_frames >= k + 1]
    pool = [story for story in usable if story.split == "train"]
    if test == "official":
        official = [story for story in usable if story.split == "test"]
        if not any(story.split == "test" for story in stories):
            raise UserError(
                "split.test is official, but the dataset has no test stories; set split.test to "
                "carved to take a tenth of its train stories"
            )
        (val,), train = _draw(pool, [val_fraction], seed)
        parts = {"train": train, "val": val, "test": official}
    else:
        (val, carved), train = _draw(pool, [CARVED, CARVED], seed)
        parts = {"train": train, "val": val, "test": carved}
    for name, chosen in parts.items():
        if not chosen:
            raise UserError(
                f"split: no story is left for {name}: of {len(stories)} stories {len(usable)} have "
                f"the {k + 1} frames that context.k={k} needs ({len(pool)} of them in the "
                "dataset's train split); use more stories or a smaller context.k"
            )
    ids: dict[str, Any] = {name: sorted(story.story_id for story in parts[name]) for name in PARTS}
    return {**ids, "bins": {name: _count_bins(parts[name]) for name in PARTS}}


def read_splits(path: Path) -> dict[str, list[str]]:
    """Read the story ids of `train`, `val` and `test` from what the split stage wrote.

    Raises:
        UserError: if the file is missing, is not such a file, or has a story twice.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(_is_part(content.get(name)) for name in PARTS):
        raise UserError(f"{path} does not list train, val and test stories; run the split stage")
    part_of: dict[str, str] = {}
    for name in PARTS:
        for story in content[name]:
            if story in part_of:
                raise UserError(
                    f"{path} has story {story!r:.100} in {part_of[story]} and again in {name}; run "
                    "the split stage again"
                )
            part_of[story] = name
    return {name: content[name] for name in PARTS}


def _is_part(ids: object) -> bool:
    return isinstance(ids, list) and all(isinstance(story, str) for story in ids)


def _bin(n_frames: int) -> str:
    for name, (least, most) in BINS.items():
        if n_frames >= least and (most is None or n_frames <= most):
            return name
    return SHORTER


def _count_bins(stories: list[StoryLength]) -> dict[str, int]:
    counts = dict.fromkeys([SHORTER, *BINS], 0)
    for story in stories:
        counts[_bin(story.n_frames)] += 1
    return {name: count for name, count in counts.items() if count or name in BINS}


def _draw(
    pool: list[StoryLength], fractions: list[float], seed: int
) -> tuple[list[list[StoryLength]], list[StoryLength]]:
    """Draw parts of the given shares from each bin; also return what was not drawn."""

    def rank(story: StoryLength) -> bytes:
        return hashlib.sha256(f"{seed}:{story.story_id}".encode()).digest()

    bins: dict[str, list[StoryLength]] = {name: [] for name in [SHORTER, *BINS]}
    for story in sorted(pool, key=rank):
        bins[_bin(story.n_frames)].append(story)
    sizes = {name: len(members) for name, members in bins.items()}
    drawn: list[list[StoryLength]] = []
    for fraction in fractions:
        quotas = _quotas(sizes, fraction, {name: len(members) for name, members in bins.items()})
        drawn.append([story for name in bins for story in bins[name][: quotas[name]]])
        bins = {name: members[quotas[name] :] for name, members in bins.items()}
    return drawn, [story for members in bins.values() for story in members]


def _quotas(sizes: dict[str, int], fraction: float, left: dict[str, int]) -> dict[str, int]:
    """Share out `fraction` of all over bins, in whole stories, by largest remainder.

    The sum is the rounded share, but at least one story; no bin gives more than it has `left`.
    """
    total = max(1, round(sum(sizes.values()) * fraction))
    exact = {name: size * fraction for name, size in sizes.items()}
    quotas = {name: min(int(share), left[name]) for name, share in exact.items()}
    for name in sorted(sizes, key=lambda name: quotas[name] - exact[name]):
        if sum(quotas.values()) < total and quotas[name] < left[name]:
            quotas[name] += 1
    return quotas
