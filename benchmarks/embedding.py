"""Embedding at full size: what it costs and stores, beside a bare forward pass and plain code.

Plain is Hugging Face without a feature cache; bare is the forward pass on tensors in memory.
Weights are loaded, ours fingerprinted too, and kernels chosen before the clock starts: a few
seconds once, of the hours that a real dataset takes.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.baselines import PlainClip, bare_clip, bare_images
from benchmarks.ratio import Ratio, interleaved, write_ratios
from benchmarks.workbench import FRAMES, RAW
from pipeline.clip.frozen import FrozenClip
from pipeline.compute.device import pick_device
from pipeline.features.embed import embed_images
from pipeline.features.sources import stream_captions, stream_images
from pipeline.features.store import FeatureStore
from pipeline.params import load_params

ROUNDS = 3
PLAIN_ITEMS = 96
"""Images or captions that plain Hugging Face is timed on."""
BARE_ITEMS = 128
CAPTIONS = 384


def main() -> None:
    """Time both towers and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    out = parser.parse_args().out
    params = load_params().clip
    clip = FrozenClip.load(params.model, batch_size=params.batch_size)
    plain = PlainClip(Path(params.model), pick_device())
    sizes = [_store_size(modality) for modality in ("image", "text")]
    write_ratios(out, [*_images(clip, plain), *_texts(clip, plain), *sizes])


def _images(clip: FrozenClip, plain: PlainClip) -> list[Ratio]:
    rows = np.arange(_rows())
    data = [image.data for image in stream_images(RAW, FRAMES, rows[:BARE_ITEMS])]
    bare = bare_clip(Path(clip.folder.model), clip.precision, pick_device())
    values = plain.pixel_values(data).to(bare.dtype)

    def end_to_end() -> None:
        with tempfile.TemporaryDirectory(prefix="embed-", dir=".") as folder:
            os.environ["STORYCACHE_HOME"] = folder  # an encode cache that holds nothing yet
            embed_images(clip, RAW, FRAMES, Path(folder) / "shards")

    seconds = interleaved(
        ROUNDS,
        ours=end_to_end,
        bare=lambda: bare_images(bare, values, clip.batch_size),
        plain=lambda: plain.images(data[:PLAIN_ITEMS]),
    )
    ours, limit, theirs = (
        items / seconds[name]
        for name, items in (("ours", len(rows)), ("bare", len(data)), ("plain", PLAIN_ITEMS))
    )
    figures = {
        "ours, images/s": ours,
        f"bare {clip.precision}, images/s": limit,
        "plain Hugging Face, images/s": theirs,
    }
    pixels = np.stack([clip.preprocess(image) for image in data])
    agreement = _agreement(clip.encode_images(pixels), plain.images(data))
    return [
        Ratio("embed images, parquet to shards, against bare", ours / limit, 0.95, figures=figures),
        Ratio("embed images against plain Hugging Face", ours / theirs, 3.5, figures=figures),
        Ratio("least cosine of an image to plain Hugging Face's", agreement, 0.999, unit=""),
    ]


def _texts(clip: FrozenClip, plain: PlainClip) -> list[Ratio]:
    captions = list(stream_captions(FRAMES, np.arange(min(_rows(), CAPTIONS))))
    seconds = interleaved(
        ROUNDS,
        ours=lambda: clip.encode_texts(captions),
        plain=lambda: plain.texts(captions[:PLAIN_ITEMS]),
    )
    ours, theirs = len(captions) / seconds["ours"], PLAIN_ITEMS / seconds["plain"]
    figures = {"ours, captions/s": ours, "plain Hugging Face, captions/s": theirs}
    agreement = _agreement(clip.encode_texts(captions), plain.texts(captions))
    return [
        Ratio("embed captions against plain Hugging Face", ours / theirs, 4, figures=figures),
        Ratio("least cosine of a caption to plain Hugging Face's", agreement, 0.999, unit=""),
    ]


def _store_size(modality: str) -> Ratio:
    """Of the published shards, beside what their numbers alone take in float16."""
    folder = Path("data/features") / modality
    store = FeatureStore.open(folder)
    stored = sum(path.stat().st_size for path in folder.glob("*.h5"))
    return Ratio(
        f"size of the feature store against 2·N·D bytes, {modality}",
        stored / (2 * len(store) * store.dim),
        1.1,
        at_least=False,
        figures={"stored, bytes": stored, "N, rows": len(store), "D, numbers": store.dim},
    )


def _rows() -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(FRAMES).num_rows)


def _agreement(ours: np.ndarray, theirs: torch.Tensor) -> float:
    """The least cosine between rows of the two, [N, D] each, unit norm."""
    return float((ours * theirs.cpu().numpy()).sum(axis=1).min())


if __name__ == "__main__":
    main()
