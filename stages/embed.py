"""Stages `embed_image` and `embed_text`: frozen CLIP over every frame or every caption."""

from pathlib import Path

from pipeline.clip.frozen import FrozenClip
from pipeline.common.locks import claim_outputs
from pipeline.common.parts import Part
from pipeline.common.stage import run_stage
from pipeline.features.embed import embed_images, embed_texts
from pipeline.params import load_params


def image(raw: Path, frames: Path, out: Path, part: Part | None = None) -> None:
    """Embed every frame's image; with --part 3/16 a part of them, into the encode cache alone."""
    engine = load_params().embed.engine
    print(embed_images(_load_clip(out, part), raw, frames, out, part, engine))


def text(frames: Path, out: Path, part: Part | None = None) -> None:
    """Embed every frame's caption; with --part 3/16 a part of them, into the encode cache alone."""
    engine = load_params().embed.engine
    print(embed_texts(_load_clip(out, part), frames, out, part, engine))


def _load_clip(out: Path, part: Part | None) -> FrozenClip:
    """As params.yaml names it, once `out` is this process's own, if it is going to be written."""
    clip = load_params().clip
    if part is None:
        claim_outputs(out)
    return FrozenClip.load(
        clip.model,
        clip.revision,
        clip.precision,
        clip.image_fit,
        clip.text_overflow,
        clip.batch_size,
        max_words=clip.max_words,
    )


if __name__ == "__main__":
    run_stage(image, text)
