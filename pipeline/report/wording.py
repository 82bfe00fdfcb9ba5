"""What rows and metrics are called on the page, what they mean, and how numbers are written."""

from dataclasses import dataclass

from pipeline.report.measures import Measure

ROWS = {
    "ground_truth": ("the true caption", "written by a person for this very frame"),
    "model": ("the model", "what this project trained"),
    "same_story": ("another frame’s caption", "true, but of another frame of the same story"),
    "nearest_train": ("the nearest training caption", "looked up, not written"),
    "copy_last": ("a copy of the last caption", "the caption of the frame just before"),
    "copy_before_last": ("a copy of the last but one", "two frames before; films cut back"),
    "no_prefix": ("the model blindfolded", "the decoder with its prompt, without what CLIP saw"),
    "shuffled": ("another story’s caption", "a true caption, of the wrong story"),
}
"""Row -> its name on the page, and what it is."""


@dataclass(frozen=True)
class Wording:
    """A metric in words."""

    title: str
    meaning: str
    higher_is_better: bool | None = True
    """None for what is neither good nor bad in itself, such as the length."""
    style: str = "number"
    """number (three decimals), share (a percentage) or count (one decimal, if any)."""


METRICS = {
    "lift": Wording(
        "Lift", "how far from another story’s caption (0) to the true one (100 %)", style="share"
    ),
    "judge_lift": Wording("Lift by the judge", "the same, in the judge’s eyes", style="share"),
    "clip_cosine": Wording("CLIP cosine", "likeness of caption and target picture"),
    "judge_cosine": Wording(
        "Judge cosine", "the same likeness, by a second CLIP that nothing was trained against"
    ),
    "clipscore": Wording("CLIPScore", "2.5 times the cosine, not below 0"),
    "ref_clipscore": Wording("RefCLIPScore", "likeness to the picture and to the true caption"),
    "clip_cosine_sentences": Wording(
        "CLIP cosine by sentence", "mean over sentences: CLIP reads no more than 77 tokens"
    ),
    "r1": Wording("R@1", "the caption’s nearest picture is its own", style="share"),
    "r5": Wording("R@5", "its own picture is among the five nearest", style="share"),
    "r10": Wording("R@10", "its own picture is among the ten nearest", style="share"),
    "r1_same_story": Wording(
        "R@1 within the story", "its own frame is nearest of that story’s", style="share"
    ),
    "median_rank": Wording(
        "Median rank", "place of its own picture, 1 is best", higher_is_better=False, style="count"
    ),
    "bleu4": Wording(
        "BLEU-4", "runs of up to four words shared with the true caption, of 100", style="count"
    ),
    "rouge_l": Wording("ROUGE-L", "longest common thread of words with the true caption"),
    "cider_d": Wording("CIDEr-D", "telling words shared with the true caption"),
    "distinct_1": Wording("Distinct-1", "share of words that are not repetitions"),
    "distinct_2": Wording("Distinct-2", "share of word pairs that are not repetitions"),
    "self_bleu": Wording(
        "Self-BLEU", "how much they are like each other, of 100", False, style="count"
    ),
    "words": Wording("Words", "words in a caption", higher_is_better=None, style="count"),
    "finished": Wording("Finished", "captions that end by themselves", style="share"),
    "distinct": Wording("Distinct captions", "captions unlike all others", style="share"),
    "nll": Wording(
        "Surprise (nll)",
        "nats a token that the true caption costs the model; 0 is no surprise at all",
        higher_is_better=False,
    ),
    "nll_other_prefix": Wording(
        "Surprise, other story", "the same with what CLIP saw of another story", None
    ),
    "nll_images_only": Wording(
        "Surprise, pictures only", "the prefix made of pictures alone", None
    ),
    "nll_texts_only": Wording("Surprise, captions only", "the prefix made of captions alone", None),
    "nll_no_prefix": Wording("Surprise, no prefix", "nothing of what CLIP saw", None),
    "nll_gap_other_prefix": Wording(
        "Cost of another story", "nats a token that the prefix of another story costs", None
    ),
    "nll_gap_images_only": Wording("Cost of no captions", "the same without captions", None),
    "nll_gap_texts_only": Wording("Cost of no pictures", "the same without pictures", None),
    "nll_gap_no_prefix": Wording("Cost of no prefix", "the same without either", None),
    "image_r1": Wording(
        "Image R@1", "the predicted picture embedding is nearest to its own", style="share"
    ),
    "image_r5": Wording("Image R@5", "its own is among the five nearest", style="share"),
    "image_r10": Wording("Image R@10", "its own is among the ten nearest", style="share"),
    "image_median_rank": Wording(
        "Image median rank", "place of its own, 1 is best", higher_is_better=False, style="count"
    ),
    "image_r1_same_story": Wording(
        "Image R@1 within the story", "its own is nearest of that story’s frames", style="share"
    ),
    "image_r1_copy_last": Wording(
        "Image R@1 of a copy", "the last frame’s embedding instead", None, style="share"
    ),
    "d_accuracy_generated": Wording(
        "Discriminator, generated",
        "how often the discriminator tells true from generated captions; a coin gets half",
        None,
        style="share",
    ),
    "d_accuracy_shuffled": Wording(
        "Discriminator, shuffled", "the same of another story’s captions", None, style="share"
    ),
    "loss": Wording("Loss", "the whole training loss", higher_is_better=False),
    "loss_img": Wording("Image loss", "its image term", higher_is_better=False),
    "loss_align": Wording("Alignment loss", "its alignment term", higher_is_better=False),
    "stories": Wording("Stories", "stories measured", higher_is_better=None, style="count"),
}
"""Metric or figure -> its wording."""

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"


def row_name(row: str) -> str:
    """A row's name in a sentence; an unknown row keeps its own."""
    return ROWS[row][0] if row in ROWS else row.replace("_", " ")


def wording(metric: str) -> Wording:
    """A metric's wording; what is not known here is shown under its own name.

    Figures named after a row (`lift_copy_last`, `clip_cosine_shuffled`) are put together.
    """
    if metric in METRICS:
        return METRICS[metric]
    for known, words in METRICS.items():
        row = metric.removeprefix(f"{known}_")
        if row in ROWS:
            title = f"{words.title}: {row_name(row)}"
            return Wording(title, words.meaning, words.higher_is_better, words.style)
    return Wording(metric.replace("_", " "), "", None)


def number(value: float, style: str = "number") -> str:
    """Write a value in a metric's style, e.g. `0.504`, `63 %`, `4.5`; with a true minus sign."""
    if style == "share":
        text = f"{100 * value:.0f} %"
    elif style == "count":
        text = f"{value:.0f}" if value == round(value) else f"{value:.1f}"
    else:
        text = f"{value:.3f}"
    if text.lstrip("-").strip("0. %") == "":
        text = text.lstrip("-")  # no minus zero
    return text.replace("-", MINUS).replace(" %", "\N{NARROW NO-BREAK SPACE}%")


def difference(value: float, style: str = "number") -> str:
    """Write a difference with its sign; that of two shares is in percentage points."""
    text = number(value, style)
    if value > 0 and text.strip("0.\N{NARROW NO-BREAK SPACE}%"):
        text = f"+{text}"
    return text.replace("%", "points") if style == "share" else text


def interval(measure: Measure, style: str = "number") -> str | None:
    """Write the interval, e.g. `0.48–0.53` or `58–68 %`; None where there is none."""
    if measure.low is None or measure.high is None:
        return None
    low, high = number(measure.low, style), number(measure.high, style)
    unit = "\N{NARROW NO-BREAK SPACE}%"
    if style == "share" and not low.startswith(MINUS):
        low = low.removesuffix(unit)
    between = f" to {high}" if MINUS in low + high else f"{EN_DASH}{high}"
    return low + between
