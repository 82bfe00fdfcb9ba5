"""The model card: what a trained model is, from what it was made, and how it scored.

In the form of the Hugging Face Hub (Mitchell et al., 2019): a header that the Hub reads, then text.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluation.references import (
    COPY_LAST,
    GROUND_TRUTH,
    MODEL,
    NEAREST_TRAIN,
    NO_PREFIX,
    SHUFFLED,
    row_name,
)
from pipeline.evaluation.results import Measures, SplitMeasures
from pipeline.model.config import Encoder, GeneratorConfig
from pipeline.model.layout import CONFIG_FILE, read_params
from pipeline.stories.origin import read_origin

ROWS = (GROUND_TRUTH, MODEL, NEAREST_TRAIN, COPY_LAST, NO_PREFIX, SHUFFLED)
"""Those of the card, the best first."""
METRICS = ("clip_cosine", "judge_cosine", "r1", "cider_d", "words")
LANGUAGE_MODEL = {
    "frozen": "frozen language model",
    "lora": "frozen language model with low-rank adapters (LoRA)",
    "full": "tuned language model",
}
"""What each `decoder.tune` leaves."""


def model_card(model: Path, raw: Path, measures: Measures) -> str:
    """The card as Markdown.

    Args:
        model: the model folder.
        raw: the raw stories, which say where they came from.
        measures: of this model.

    Raises UserError if the model folder or the raw folder is not whole.
    """
    config, encoder = GeneratorConfig.read(model / CONFIG_FILE), Encoder.read(model)
    origin, params = read_origin(raw), read_params(model)
    licence = str(origin.get("license") or "")
    header = {
        "library_name": "storycache",
        "pipeline_tag": "image-to-text",
        "license": licence.lower() if licence else "unknown",
        "base_model": [config.decoder.model, encoder.model],
        "tags": ["storycache", "visual-storytelling", "safetensors"],
    }
    if repo := origin.get("repo"):
        header["datasets"] = [repo]
    adversarial = "gan" in params
    trained = "likelihood and embedding losses" + (
        f", then the adversarial stage ({params['gan']['variant']})" if adversarial else ""
    )
    parts = [
        "---",
        *(f"{name}: {json.dumps(value)}" for name, value in header.items()),
        "---",
        "# A Storycache model",
        "",
        f"Reads {config.k} frames of a story, pictures and captions, and writes the caption of the "
        "next one. A fusion Transformer over frozen CLIP embeddings makes a prefix for a "
        f"{LANGUAGE_MODEL[config.decoder.tune]}; this folder "
        "holds what was trained and names the rest.",
        "",
        "```python",
        "from pipeline import Storyteller",
        "",
        'teller = Storyteller.from_pretrained("path/to/this/folder")',
        "teller.tell(images, captions)",
        "```",
        "",
        "| made from | |",
        "|---|---|",
        f"| stories | {_origin(origin)} |",
        f"| licence of the stories | {licence or 'not said by their source'} |",
        f"| CLIP | `{encoder.model}`{_revision(encoder.revision)}, {encoder.precision}, images "
        f"{encoder.image_fit}, captions {_read_of(encoder)}; fingerprints "
        f"`{encoder.image_fingerprint[:16]}`, `{encoder.text_fingerprint[:16]}` |",
        f"| language model | `{config.decoder.model}`{_revision(config.decoder.revision)}; digest "
        f"`{(config.decoder_digest or '')[:16]}` |",
        f"| trained by | {trained}; `params.json` has every parameter |",
        "",
        "With other weights of CLIP or the language model than these it is refused.",
        "",
        *(line for split, part in measures.splits.items() for line in _scores(split, part)),
        "Intervals are 95 % bootstraps over stories. CLIP gives a fair cosine to any caption of "
        "the same kind of picture, so a score counts by its place between the first and last row: "
        "`lift` is 0 at another story's caption and 1 at the true one.",
        "",
        "## Limits",
        "",
        f"It was trained and measured on {config.k} frames, each with a caption, of stories of one "
        "kind; on others, nobody has looked. It invents names and events, as language models do, "
        "and whatever is biased in its stories or backbones is in its captions. Captions are "
        "judged by CLIP, which reads 77 tokens and sees no story.",
    ]
    if re.search(r"\bnd\b", licence, re.IGNORECASE):
        parts += [
            "",
            f"The stories are under {licence}, which does not allow derived works to be shared: "
            "before you publish weights that were trained on them, see whether you may.",
        ]
    return "\n".join(parts) + "\n"


def _read_of(encoder: Encoder) -> str:
    """What CLIP read of long captions."""
    cut = "" if encoder.max_words is None else f", their first {encoder.max_words} words"
    return f"{encoder.text_overflow}{cut}"


def _origin(origin: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in origin.items() if name != "license")
    return shown or "not known"


def _revision(revision: str | None) -> str:
    return f" at `{revision}`" if revision else ""


def _scores(split: str, part: SplitMeasures) -> list[str]:
    """The table of a split."""
    metrics = [name for name in METRICS if name in part.rows[MODEL]]
    lines = [f"## Scores: {split}, {part.stories} stories", ""]
    if lift := part.measure("lift"):
        lines += [f"Lift {lift}.", ""]
    lines += [f"| captions by | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
    for row in ROWS:
        if row in part.rows:
            name = f"**{row_name(row)}**" if row == MODEL else row_name(row)
            cells = (str(part.rows[row][metric]) for metric in metrics)
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]
