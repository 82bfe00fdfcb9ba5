"""Stage `adversarial`: the baseline, trained on against a discriminator in CLIP space."""

import argparse
from pathlib import Path

from pipeline.common.errors import UserError, exit_cleanly
from pipeline.common.files import writing
from pipeline.common.locks import claim_folder, claim_outputs
from pipeline.model.layout import DISCRIMINATOR_FILE, copy_model, read_params
from pipeline.params import Params, load_params

GROUPS = {"seed", "loss", "train", "generate", "gan"}
"""Parameters that this stage depends on, besides those that made the baseline."""


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
    else:
        _train(paths, params)


def _train(paths: argparse.Namespace, params: Params) -> None:
    """Every variant but `none`, which need not wait for these imports."""
    import torch

    from pipeline.adversarial.captions import make_source
    from pipeline.adversarial.discriminator import Discriminator, save_discriminator
    from pipeline.adversarial.objective import AdversarialObjective
    from pipeline.adversarial.tripwires import Tripwires
    from pipeline.captioning.sampler import Sampler
    from pipeline.captioning.samples import read_samples
    from pipeline.clip.frozen import FrozenClip
    from pipeline.common.checksums import replacing_folder
    from pipeline.common.home import storycache_home
    from pipeline.compute.device import make_deterministic, pick_device
    from pipeline.compute.memory import keep_freed_memory
    from pipeline.dataset.loaded import LoadedDataset
    from pipeline.dataset.story_dataset import Stories
    from pipeline.model.folder import load_generator, write_generator
    from pipeline.model.language_model import load_prompts
    from pipeline.training.checkpoint import (
        PIPELINE,
        TRAINING_CODE,
        Checkpoints,
        run_key,
        table_bytes,
    )
    from pipeline.training.curves import Curves
    from pipeline.training.supervised import SupervisedObjective
    from pipeline.training.trainer import Trainer

    gan = params.gan
    used = params.model_dump(mode="json", by_alias=True, include=GROUPS)

    # --- model
    keep_freed_memory()
    make_deterministic(params.seed)
    device = pick_device()
    stories = Stories.open(paths.frames, paths.splits, paths.images, paths.texts)
    images, texts = stories.images, stories.texts
    generator = load_generator(paths.model, device, (images.dim, texts.dim))
    made_by = read_params(paths.model)
    discriminator = Discriminator(images.dim, texts.dim, gan.discriminator).to(device)
    prompts = load_prompts(generator.config)
    clip = FrozenClip.rebuild(texts.attributes, params.generate.batch_size)
    sampler = Sampler(generator, prompts, clip, params.generate)
    fingerprint = sampler.fingerprint()  # of the generator as it comes, before it is trained

    # --- data: the first window of each story, which is what evaluation asks for
    train, val = (
        LoadedDataset.of(stories.windows(split, generator.config.k), prompts, device)
        for split in ("train", "val")
    )
    samples, attributes = read_samples(paths.captions)
    if gan.reads_cache and attributes["fingerprint"] != fingerprint:
        raise UserError(
            f"{paths.captions} was written by another generator or under other settings than "
            f"{paths.model} and params.yaml give now: run dvc repro captions"
        )

    # --- training
    objective = AdversarialObjective(
        SupervisedObjective(generator, params.loss),
        discriminator,
        make_source(gan, sampler, train, samples, params.seed),
        train,
        Tripwires(sampler, val),
        gan,
    )
    key = run_key(
        {
            "stage": "adversarial",
            "params": used,
            "features": [images.fingerprint, texts.fingerprint],
            "stories": {part: stories.splits[part] for part in ("train", "val")},
            "captions": [key.tobytes().hex() for key in samples.key],
            "threads": torch.get_num_threads(),
            "device": str(device),
        },
        [table_bytes(stories.frames), fingerprint.encode()],
        (*TRAINING_CODE, PIPELINE / "adversarial", PIPELINE / "captioning"),
    )
    checkpoints = Checkpoints(claim_folder(storycache_home() / "training" / key))
    schedule = {"epochs": gan.epochs, "lr": gan.lr, "warmup_steps": gan.warmup_steps}
    with Curves(paths.live) as curves:
        settings = params.train.model_copy(update=schedule)
        trainer = Trainer(objective, train, val, settings, params.seed, checkpoints, curves)
        outcome = trainer.run(warm_start=True)
    with replacing_folder(paths.out) as partial:
        write_generator(partial, generator, made_by | used)
        save_discriminator(partial / DISCRIMINATOR_FILE, discriminator)
    checkpoints.clear()
    kept = f"epoch {outcome.best_epoch + 1}" if outcome.best_epoch >= 0 else "the baseline"
    print(
        f"{gan.variant}, signal {gan.signal}: {outcome.steps} steps; kept {kept}, validation nll "
        f"{outcome.best_value:.4f} nats a token; model in {paths.out}"
    )


if __name__ == "__main__":
    exit_cleanly(main)
