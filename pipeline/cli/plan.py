"""`storycache plan`: what it would take to embed so many frames."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.table import aligned
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.compute.device import pick_device
from pipeline.params import load_params
from pipeline.upkeep.plan import Plan, Rates, make_plan, mean_image_bytes, measure_rates

RAW, FRAMES = Path("data/raw"), Path("data/stories/frames.parquet")
PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def command(
    frames: Annotated[float, typer.Option(help="Of the dataset: 52016, or 1e8.", min=1)],
    workers: Annotated[
        int | None, typer.Option(help="Processes on a machine like this one each. [default: 1]")
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="The same, on a GPU each.")] = None,
    price: Annotated[float | None, typer.Option(help="Of a worker's hour.", min=0)] = None,
    image_rate: Annotated[
        float | None, typer.Option(help="Images a second of a worker, if that is known.")
    ] = None,
    caption_rate: Annotated[float | None, typer.Option(help="Captions a second.")] = None,
    seconds: Annotated[float, typer.Option(help="How long a rate is measured.", min=0.1)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hours, storage, files, memory and money for embedding so many frames.

    Measured here, with the CLIP of params.yaml on the stories at hand, unless rates are given.
    """
    count = _workers(workers, gpus)
    given = _given(image_rate, caption_rate)
    if gpus is not None and given is None and pick_device().type == "cpu":
        raise UserError(
            "there is no GPU here to be measured: give --image-rate and --caption-rate of one, or "
            "--workers for processes as fast as one on this machine"
        )
    clip = FrozenClip.load(**load_params().clip.model_dump())
    rates = given or measure_rates(clip, RAW, FRAMES, seconds)
    plan = make_plan(
        int(frames), count, rates, mean_image_bytes(RAW, FRAMES), clip.dim, clip.batch_size, price
    )
    if as_json:
        print(json.dumps(dataclasses.asdict(plan), indent=2))
        return
    measured = "as given" if given else f"measured here, {pick_device()}, {clip.precision}"
    print(_table(plan, f"{clip.folder.model}, {measured}"))


def _workers(workers: int | None, gpus: int | None) -> int:
    if workers is not None and gpus is not None:
        raise UserError("--workers and --gpus both say how many there are: give one of them")
    count = next((given for given in (workers, gpus) if given is not None), 1)
    if count < 1:
        raise UserError(f"{count} workers embed nothing: give at least 1")
    return count


def _given(images: float | None, captions: float | None) -> Rates | None:
    if images is None and captions is None:
        return None
    if images is None or captions is None or min(images, captions) <= 0:
        raise UserError("--image-rate and --caption-rate belong together, and are above 0")
    return Rates(images, captions)


def _table(plan: Plan, of: str) -> str:
    """The plan as aligned text."""
    fleet = f"{plan.workers:,} worker{'s' * (plan.workers > 1)}"
    rows = [
        ("a worker", f"{plan.rates.images:,.0f} images/s, {plan.rates.captions:,.0f} captions/s"),
        ("images", f"{_hours(plan.image_hours)}, {fleet}"),
        ("captions", f"{_hours(plan.caption_hours)}, {fleet}"),
        ("stories", f"{_size(plan.raw_bytes)} of images"),
        ("features", f"{_size(plan.feature_bytes)} in {plan.files:,} shards"),
        ("encode cache", f"as much again, in {plan.chunks:,} files until they are compacted"),
        ("a kill loses", f"{plan.chunk_seconds:,.0f} s of a worker's time, at most"),
        ("memory to embed", f"{_size(plan.embed_bytes)} a process, and the model"),
        ("memory to train", f"{_size(plan.train_bytes)} a process, and the model"),
    ]
    if plan.price is not None:
        rows.append(("price", f"{plan.price:,.2f}"))
    return f"{plan.frames:,} frames and captions; {of}\n\n{aligned(rows)}"


def _hours(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def _size(count: float) -> str:
    """Bytes in the decimal unit that leaves at most three digits before the point."""
    power = min(len(str(int(count))) - 1, 3 * len(PREFIXES) - 1) // 3
    return f"{count / 1000**power:.3g} {PREFIXES[power]}B"
