"""Stage `adversarial`: the baseline, trained on against a discriminator in CLIP space."""

import argparse
from pathlib import Path

from pipeline.common.errors import exit_cleanly
from pipeline.common.files import writing
from pipeline.common.locks import claim_outputs
from pipeline.common.stage import Inputs
from pipeline.model.layout import copy_model
from pipeline.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="image features")
    parser.add_argument("--texts", type=Path, required=True, help="text features")
    parser.add_argument("--captions", type=Path, required=True, help="the baseline's captions")
    parser.add_argument("--model", type=Path, required=True, help="baseline's folder")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--live", type=Path, required=True, help="curves to write")
    paths = parser.parse_args()
    params = load_params()
    claim_outputs(paths.out, paths.live)
    if params.gan.variant == "none":
        copy_model(paths.model, paths.out)
        with writing(paths.live):
            paths.live.mkdir(parents=True, exist_ok=True)
        print(f"gan.variant none: the final model in {paths.out} is the baseline")
        return

    from pipeline.adversarial.train import train_adversarially  # torch and all that

    train_adversarially(
        Inputs(paths.frames, paths.splits, paths.images, paths.texts),
        paths.captions,
        paths.model,
        paths.out,
        paths.live,
        params.only("gan", "generate", "loss", "seed", "train"),
    )


if __name__ == "__main__":
    exit_cleanly(main)
