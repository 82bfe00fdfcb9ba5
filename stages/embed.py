"""Stages `embed_image` and `embed_text`: frozen CLIP over every frame or every caption."""

import argparse
from pathlib import Path

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import exit_cleanly
from pipeline.common.locks import claim_outputs
from pipeline.features.embed import embed_images, embed_texts
from pipeline.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    modality = parser.add_subparsers(dest="modality", required=True)
    image = modality.add_parser("image", help="embed every frame's image")
    image.add_argument("--raw", type=Path, required=True)
    text = modality.add_parser("text", help="embed every frame's caption")
    for command in (image, text):
        command.add_argument("--frames", type=Path, required=True)
        command.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    clip_params = load_params().clip
    claim_outputs(arguments.out)
    clip = FrozenClip.load(
        clip_params.model,
        clip_params.revision,
        clip_params.precision,
        clip_params.image_fit,
        clip_params.text_overflow,
        clip_params.batch_size,
    )
    if arguments.modality == "image":
        print(embed_images(clip, arguments.raw, arguments.frames, arguments.out))
    else:
        print(embed_texts(clip, arguments.frames, arguments.out))


if __name__ == "__main__":
    exit_cleanly(main)
