"""`storycache predict`: the next caption of anyone's story."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.common.errors import UserError

SEVERAL = ("--images", "--captions")
"""Options that may be followed by more than one value."""
DEFAULT_MODEL = "data/models/final"

ModelOption = Annotated[str, typer.Option(help="A model folder, or an id on the Hugging Face Hub.")]
ClipOption = Annotated[str | None, typer.Option(help="Where its CLIP lies now, if it has moved.")]
DecoderOption = Annotated[
    str | None, typer.Option(help="Where its language model lies now, if it has moved.")
]


def command(
    images: Annotated[
        list[str],
        typer.Option(
            help="Pictures in order, or one folder of them, with captions beside them "
            "(a.txt for a.jpg) or in captions.txt, .csv or .jsonl."
        ),
    ] = [],  # noqa: B006
    captions: Annotated[
        list[str],
        typer.Option(
            help="A caption for each, unless the folder has them; none for a model that was "
            "trained to do without (fusion.hide_share)."
        ),
    ] = [],  # noqa: B006
    batch: Annotated[
        Path | None,
        typer.Option(
            metavar="STORIES",
            help="Many stories instead: JSON lines "
            '{"story_id": ..., "frames": [{"image": path, "caption": ...}, ...]}.',
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where their captions go, as JSON lines.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Captions for each story, the best scored first.")
    ] = 1,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    model: ModelOption = DEFAULT_MODEL,
    clip: ClipOption = None,
    decoder: DecoderOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
) -> None:
    """Write the caption of the frame that comes next.

    storycache predict --images 1.jpg 2.jpg 3.jpg 4.jpg --captions "..." "..." "..." "..."

    Of more frames than the model reads, the last ones count. A score is the mean cosine, in CLIP,
    of a caption to the image and to the caption that the model predicts.
    """
    if (batch is None) == (not images):
        raise UserError("give either --images, with a caption for each, or --batch with --out")
    if (batch is None) != (out is None):
        raise UserError("--batch and --out go together: stories to read, and a file to write")
    if batch is None:
        pictures, captions_of = _frames(images, captions)
    elif not batch.is_file():
        raise UserError(f"there is no file {batch}: give one of JSON lines to --batch")
    check_trained(model)

    from pipeline.predict.storyteller import Storyteller  # which loads torch

    teller = Storyteller.from_pretrained(model, clip=clip, decoder=decoder)
    if batch is not None and out is not None:
        from pipeline.predict.batch import predict_batch

        written, left_out = predict_batch(teller, batch, out, samples, seed)
        print(f"{written} captions in {out}, {left_out} lines left out", file=sys.stderr)
    elif samples == 1:
        caption = teller.tell(pictures, captions_of, seed)
        print(json.dumps({"caption": caption}, ensure_ascii=False) if json_ else caption)
    else:
        found = teller.alternatives(pictures, captions_of, samples, seed)
        if json_:
            alternatives = [asdict(alternative) for alternative in found]
            print(json.dumps({"alternatives": alternatives}, ensure_ascii=False, indent=2))
        else:
            for alternative in found:
                print(f"{alternative.score:.3f}  {alternative.caption}")


def check_trained(model: str) -> None:
    """Raise UserError if `model` is the default, and nobody has trained it here."""
    if model == DEFAULT_MODEL and not Path(model).is_dir():
        raise UserError(f"there is no {model} here: train a model with dvc repro, or give --model")


def _frames(
    images: list[str], captions: list[str]
) -> tuple[Sequence[str | bytes], Sequence[str] | None]:
    """Pictures and captions, those of a folder if that is what was given."""
    if len(images) != 1 or not Path(images[0]).is_dir():
        return images, captions or None
    from pipeline.sources.folder import frames_in

    frames = frames_in(Path(images[0]))
    return [image for image, _ in frames], captions or [caption or "" for _, caption in frames]
