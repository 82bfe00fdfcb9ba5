"""Stage `train`: the multitask baseline, from features alone."""

import argparse
from pathlib import Path

import torch

from pipeline.common.errors import exit_cleanly
from pipeline.common.home import storycache_home
from pipeline.common.locks import claim_folder, claim_outputs
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.compute.memory import keep_freed_memory
from pipeline.dataset.examples import FRAME_COLUMNS, make_examples
from pipeline.dataset.splits import read_splits
from pipeline.dataset.windows import make_windows
from pipeline.features.store import FeatureStore
from pipeline.model.config import GeneratorConfig
from pipeline.model.folder import save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import load_params
from pipeline.stories.frames import read_frames
from pipeline.training.checkpoint import TRAINING_CODE, Checkpoints, run_key, table_bytes
from pipeline.training.curves import Curves
from pipeline.training.loop import train_loop
from pipeline.training.supervised import SupervisedObjective


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="image features")
    parser.add_argument("--texts", type=Path, required=True, help="text features")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--live", type=Path, required=True, help="loss curves to write")
    paths = parser.parse_args()
    params = load_params().only("context", "decoder", "fusion", "loss", "prompt", "seed", "train")
    claim_outputs(paths.out, paths.live)
    used = params.model_dump(mode="json")

    # --- data
    frames = read_frames(paths.frames, FRAME_COLUMNS)
    splits = read_splits(paths.splits)
    images, texts = FeatureStore.open(paths.images), FeatureStore.open(paths.texts)
    k = params.context.k
    windows = {
        "train": make_windows(frames, splits["train"], k, params.context.windows),
        "val": make_windows(frames, splits["val"], k, "first"),
    }

    # --- model
    keep_freed_memory()
    make_deterministic(params.seed)
    device = pick_device()
    config = GeneratorConfig(
        k=k,
        dim_image=images.dim,
        dim_text=texts.dim,
        fusion=params.fusion,
        decoder=params.decoder,
        prompt=params.prompt,
    )
    generator = StoryGenerator.from_config(config).to(device)
    prompts = load_prompts(config)
    examples = {
        part: make_examples(frames, chosen, images, texts, prompts, device)
        for part, chosen in windows.items()
    }

    # --- training
    key = run_key(
        {
            "params": used,
            "features": [images.fingerprint, texts.fingerprint],
            "stories": {part: splits[part] for part in ("train", "val")},
            "threads": torch.get_num_threads(),
            "device": str(device),
        },
        [table_bytes(frames), generator.fingerprint().encode()],
        TRAINING_CODE,
    )
    checkpoints = Checkpoints(claim_folder(storycache_home() / "training" / key))
    with Curves(paths.live) as curves:
        outcome = train_loop(
            generator,
            SupervisedObjective(generator, params.loss),
            examples["train"],
            examples["val"],
            params.train,
            params.seed,
            checkpoints,
            curves,
        )
    save_generator(paths.out, generator, used)
    checkpoints.clear()
    print(
        f"trained {outcome.steps} steps; best epoch {outcome.best_epoch + 1}: "
        f"validation nll {outcome.best_value:.4f} nats a token; model in {paths.out}"
    )


if __name__ == "__main__":
    exit_cleanly(main)
