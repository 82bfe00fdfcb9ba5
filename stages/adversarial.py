"""Stage `adversarial`: the baseline, trained on against a discriminator in CLIP space."""

from pathlib import Path

from pipeline.common.files import writing
from pipeline.common.locks import claim_outputs
from pipeline.common.stage import Inputs, run_stage
from pipeline.model.layout import copy_model
from pipeline.params import load_params


def adversarial(inputs: Inputs, captions: Path, model: Path, out: Path, live: Path) -> None:
    """Train the baseline, in the folder `model`, on; write the final model to `out`, curves to
    `live`. The variant `none` copies it."""
    params = load_params()
    claim_outputs(out, live)
    if params.gan.variant == "none":
        copy_model(model, out, params.only("generate").model_dump(mode="json"))
        with writing(live):
            live.mkdir(parents=True, exist_ok=True)
        print(f"gan.variant none: the final model in {out} is the baseline")
        return
    from pipeline.adversarial.train import train_adversarially  # which loads torch

    wanted = params.only("gan", "generate", "loss", "seed", "train")
    train_adversarially(inputs, captions, model, out, live, wanted)


if __name__ == "__main__":
    run_stage(adversarial)
