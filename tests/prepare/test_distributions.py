"""Histograms of the dataset, against counts made by hand."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.distributions import Distributions, FrequentWords
from pipeline.prepare.examination import Story


def story(captions: list[str], sizes: list[tuple[int, int]]) -> Story:
    return Story("s", captions, [b""] * len(captions), sizes)


def test_every_plot_is_counted_by_frame() -> None:
    counted = Distributions()
    counted.add(story(["word " * 7, "word " * 9, "word " * 17], [(48, 24), (47, 26), (96, 40)]))
    counted.add(story(["Tea"], [(1920, 804)]))
    plots = counted.plots()
    assert plots["frame_count"] == [
        {"frames": 1, "stories": 1},
        {"frames": 2, "stories": 0},
        {"frames": 3, "stories": 1},
    ]
    assert plots["words_per_frame"] == [
        {"words": 2.0, "frames": 1},  # 0 to 4 words
        {"words": 7.0, "frames": 2},
        {"words": 12.0, "frames": 0},
        {"words": 17.0, "frames": 1},
    ]
    assert plots["words_by_position"] == [
        {"position": 1, "words": 4.0},  # 7 and 1
        {"position": 2, "words": 9.0},
        {"position": 3, "words": 17.0},
    ]
    assert plots["image_sizes"] == [
        {"width": 40, "height": 20, "count": 2},  # 48 x 24 and 47 x 26, to the nearest 20
        {"width": 100, "height": 40, "count": 1},
        {"width": 1920, "height": 800, "count": 1},
    ]
    assert plots["aspect_words"] == [
        {"aspect": 1.8, "words": 7.0, "count": 1},
        {"aspect": 2.0, "words": 7.0, "count": 1},
        {"aspect": 2.4, "words": 2.0, "count": 1},
        {"aspect": 2.4, "words": 17.0, "count": 1},
    ]
    assert plots["frequent_words"] == [
        {"word": "word", "count": 33},
        {"word": "tea", "count": 1},
    ]


def test_without_stories_the_plots_are_empty() -> None:
    assert all(rows == [] for rows in Distributions().plots().values())


def test_words_are_told_from_punctuation_case_and_function_words() -> None:
    words = FrequentWords()
    words.add("The LANTERN, the lantern's light; and Zoë’s lantern! He was 42 — don't.")
    assert words.most(9) == [("lantern", 2), ("lantern's", 1), ("light", 1), ("zoë's", 1)]


@given(st.lists(st.sampled_from("abcdefghij").map(lambda letter: f"word{letter}"), max_size=200))
def test_frequent_words_survive_when_rare_ones_are_forgotten(drawn: list[str]) -> None:
    """Memory is bounded, and no count is above the truth or far below it."""
    words = FrequentWords(vocabulary=4)
    for word in drawn:
        words.add(word)
    truth = Counter(drawn)
    listed = words.most(100)
    assert len(listed) <= 8
    assert all(count <= truth[word] for word, count in listed)
    words = FrequentWords(vocabulary=10)
    for word in drawn:
        words.add(word)
    assert dict(words.most(10)) == truth
