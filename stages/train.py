"""Stage `train`: the multitask baseline, from features alone."""

import argparse
from pathlib import Path

import torch

from pipeline.common.errors import exit_cleanly
from pipeline.common.home import storycache_home
from pipeline.common.locks import claim_folder, claim_outputs
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.compute.memory import keep_freed_memory
from pipeline.dataset.loaded import LoadedDataset
from pipeline.dataset.story_dataset import Stories
from pipeline.model.config import GeneratorConfig
from pipeline.model.folder import save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import load_params
from pipeline.training.checkpoint import TRAINING_CODE, Checkpoints, run_key, table_bytes
from pipeline.training.curves import Curves
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.trainer import Trainer

GROUPS = {"seed", "context", "fusion", "decoder", "prompt", "loss", "train"}
"""Parameters that this stage depends on; kept in the model folder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="image features")
    parser.add_argument("--texts", type=Path, required=True, help="text features")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--live", type=Path, required=True, help="loss curves to write")
    paths = parser.parse_args()
    params = load_params()
    claim_outputs(paths.out, paths.live)
    used = params.model_dump(mode="json", by_alias=True, include=GROUPS)

    # --- data
    stories = Stories.open(paths.frames, paths.splits, paths.images, paths.texts)
    k = params.context.k
    windows = (stories.windows("train", k, params.context.windows), stories.windows("val", k))

    # --- model
    keep_freed_memory()
    make_deterministic(params.seed)
    device = pick_device()
    config = GeneratorConfig(
        k=k,
        dim_image=stories.images.dim,
        dim_text=stories.texts.dim,
        fusion=params.fusion,
        decoder=params.decoder,
        prompt=params.prompt,
    )
    generator = StoryGenerator.from_config(config).to(device)
    prompts = load_prompts(config)
    train, val = (LoadedDataset.of(part, prompts, device) for part in windows)

    # --- training
    key = run_key(
        {
            "params": used,
            "features": [stories.images.fingerprint, stories.texts.fingerprint],
            "stories": {part: stories.splits[part] for part in ("train", "val")},
            "threads": torch.get_num_threads(),
            "device": str(device),
        },
        [table_bytes(stories.frames), generator.fingerprint().encode()],
        TRAINING_CODE,
    )
    checkpoints = Checkpoints(claim_folder(storycache_home() / "training" / key))
    with Curves(paths.live) as curves:
        objective = SupervisedObjective(generator, params.loss)
        trainer = Trainer(objective, train, val, params.train, params.seed, checkpoints, curves)
        outcome = trainer.run()
    save_generator(paths.out, generator, used)
    checkpoints.clear()
    print(
        f"trained {outcome.steps} steps; best epoch {outcome.best_epoch + 1}: "
        f"validation nll {outcome.best_value:.4f} nats a token; model in {paths.out}"
    )


if __name__ == "__main__":
    exit_cleanly(main)
