"""Stage `captions`: what the baseline writes for training stories, for the adversarial stage."""

from pathlib import Path

from pipeline.captioning.samples import Samples, write_samples
from pipeline.common.locks import claim_outputs
from pipeline.common.parts import Part
from pipeline.common.stage import Inputs, run_stage
from pipeline.features.store import FeatureStore
from pipeline.params import load_params


def captions(inputs: Inputs, model: Path, out: Path, part: Part | None = None) -> None:
    """Sample from the baseline, in the folder `model`; nothing if `gan.variant` reads nothing.

    With --part 3/16 a part of the captions, into the caption cache alone.
    """
    params = load_params()
    if part is None:
        claim_outputs(out)
    if not params.gan.reads_cache:
        if part is None:
            none = Samples.none(FeatureStore.open(inputs.texts).dim)
            write_samples(out, none, {"fingerprint": ""})
        print(f"gan.variant {params.gan.variant} reads no captions, so none are written")
        return
    from pipeline.captioning.pregenerate import write_captions  # which loads torch

    cache = params.gan.cache
    write_captions(
        inputs,
        model,
        out,
        cache.subset_stories,
        cache.samples_per_story,
        params.generate,
        params.seed,
        part,
    )


if __name__ == "__main__":
    run_stage(captions)
