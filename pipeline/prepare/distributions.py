"""Histograms of the dataset for `dvc plots`, counted story by story in memory that stays small."""

import re
from collections import Counter
from typing import Any

from pipeline.prepare.examination import Story
from pipeline.prepare.function_words import FUNCTION_WORDS

WORDS_PER_BIN = 5
PIXELS_PER_BIN = 20
"""Sizes are counted to the nearest 20 pixels."""
ASPECTS_PER_UNIT = 10
"""Aspect ratios are counted to a tenth."""
FREQUENT = 30
"""Words that are listed."""
VOCABULARY = 50_000
"""Different words that are remembered, at most twice as many between two clearings."""

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
"""Letters of any script, with apostrophes within."""


class FrequentWords:
    """Counts of the most frequent words of a stream, in bounded memory.

    When more than twice `vocabulary` different words are held, all but the most frequent
    `vocabulary` are forgotten. A word that comes back is counted anew, so its count may be short
    by what the rarest word that was then kept had: for English, a handful.
    """

    def __init__(self, vocabulary: int = VOCABULARY) -> None:
        self._vocabulary = vocabulary
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count the words of a text in lower case; function words (the, and, ...) are left out."""
        words = (word.replace("’", "'") for word in WORD.findall(text.lower()))
        self._counts.update(word for word in words if word not in FUNCTION_WORDS)
        if len(self._counts) > 2 * self._vocabulary:
            self._counts = Counter(dict(self._ranked()[: self._vocabulary]))

    def most(self, number: int) -> list[tuple[str, int]]:
        """The most frequent words and their counts, equal counts by the alphabet."""
        return self._ranked()[:number]

    def _ranked(self) -> list[tuple[str, int]]:
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))


class Distributions:
    """What is counted of the stories kept, and the rows of a plot for each.

    Of numbers, how often each occurs: exact, and small however many stories there are.
    """

    def __init__(self) -> None:
        self.frames: Counter[int] = Counter()
        """Of a story."""
        self.words: Counter[int] = Counter()
        """Of a caption."""
        self.widths: Counter[int] = Counter()
        """Of an image, in pixels, as `heights`."""
        self.heights: Counter[int] = Counter()
        self._position_words: Counter[int] = Counter()
        self._position_frames: Counter[int] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._aspects: Counter[tuple[int, int]] = Counter()
        self._vocabulary = FrequentWords()

    def add(self, story: Story) -> None:
        """Count one story."""
        self.frames[len(story.captions)] += 1
        frames = zip(story.captions, story.sizes, strict=True)
        for position, (caption, (width, height)) in enumerate(frames, start=1):
            words = len(caption.split())
            self.words[words] += 1
            self.widths[width] += 1
            self.heights[height] += 1
            self._position_words[position] += words
            self._position_frames[position] += 1
            self._sizes[_nearest(width), _nearest(height)] += 1
            aspect = int(ASPECTS_PER_UNIT * width / height + 0.5)
            self._aspects[aspect, words // WORDS_PER_BIN] += 1
            self._vocabulary.add(caption)

    def plots(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each plot, by its name.

        frame_count: frames of a story, stories. words_per_frame: words of a caption (the middle
        of a bin of five), frames. words_by_position: place of the frame in its story, mean words.
        image_sizes: width and height in pixels (to the nearest 20), count. aspect_words:
        aspect ratio to a tenth, words as above, count. frequent_words: word, count.
        """
        binned: Counter[int] = Counter()
        for words, count in self.words.items():
            binned[words // WORDS_PER_BIN] += count
        return {
            "frame_count": [{"frames": n, "stories": self.frames[n]} for n in _range(self.frames)],
            "words_per_frame": [
                {"words": _middle(b, WORDS_PER_BIN), "frames": binned[b]} for b in _range(binned)
            ],
            "words_by_position": [
                {"position": n, "words": round(self._position_words[n] / frames, 4)}
                for n, frames in sorted(self._position_frames.items())
            ],
            "image_sizes": [
                {"width": width, "height": height, "count": count}
                for (width, height), count in sorted(self._sizes.items())
            ],
            "aspect_words": [
                {"aspect": a / ASPECTS_PER_UNIT, "words": _middle(b, WORDS_PER_BIN), "count": n}
                for (a, b), n in sorted(self._aspects.items())
            ],
            "frequent_words": [
                {"word": word, "count": count} for word, count in self._vocabulary.most(FREQUENT)
            ],
        }


def _range(counts: Counter[int]) -> range:
    """From the least to the greatest value counted, so that a gap shows as a gap."""
    return range(min(counts), max(counts) + 1) if counts else range(0)


def _nearest(pixels: int) -> int:
    return (pixels + PIXELS_PER_BIN // 2) // PIXELS_PER_BIN * PIXELS_PER_BIN


def _middle(number: int, width: int) -> float:
    """The middle of the whole numbers in a bin: of 40 to 44, 42."""
    return number * width + (width - 1) / 2
