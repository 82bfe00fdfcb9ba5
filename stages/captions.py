"""Stage `captions`: what the baseline writes for training stories, for the adversarial stage."""

import argparse
from pathlib import Path

from pipeline.captioning.samples import Samples, write_samples
from pipeline.common.errors import exit_cleanly
from pipeline.common.locks import claim_outputs
from pipeline.common.stage import Inputs
from pipeline.features.store import FeatureStore
from pipeline.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="image features")
    parser.add_argument("--texts", type=Path, required=True, help="text features")
    parser.add_argument("--model", type=Path, required=True, help="baseline's folder")
    parser.add_argument("--out", type=Path, required=True, help="file of captions to write")
    paths = parser.parse_args()
    params = load_params()
    claim_outputs(paths.out)
    if not params.gan.reads_cache:
        write_samples(
            paths.out, Samples.none(FeatureStore.open(paths.texts).dim), {"fingerprint": ""}
        )
        print(f"gan.variant {params.gan.variant} reads no captions, so none are written")
        return

    from pipeline.captioning.pregenerate import write_captions  # torch and all that

    write_captions(
        Inputs(paths.frames, paths.splits, paths.images, paths.texts),
        paths.model,
        paths.out,
        params.gan.cache,
        params.generate,
        params.seed,
    )


if __name__ == "__main__":
    exit_cleanly(main)
