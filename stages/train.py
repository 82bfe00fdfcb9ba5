"""Stage `train`: the multitask baseline, from features alone."""

from pathlib import Path

import torch

from pipeline.common.home import storycache_home
from pipeline.common.locks import claim_folder, claim_outputs
from pipeline.common.stage import Inputs, run_stage
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


def train(inputs: Inputs, out: Path, live: Path) -> None:
    """Train fusion encoder, heads and prefix over the language model; write the model to `out`, its
    loss curves to `live`."""
    params = load_params().only("context", "decoder", "fusion", "loss", "prompt", "seed", "train")
    claim_outputs(out, live)
    used = params.model_dump(mode="json")

    # --- data
    frames = read_frames(inputs.frames, FRAME_COLUMNS)
    splits = read_splits(inputs.splits)
    images, texts = FeatureStore.open(inputs.images), FeatureStore.open(inputs.texts)
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
    with Curves(live) as curves:
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
    save_generator(out, generator, used)
    checkpoints.clear()
    print(
        f"trained {outcome.steps} steps; best epoch {outcome.best_epoch + 1}: "
        f"validation nll {outcome.best_value:.4f} nats a token; model in {out}"
    )


if __name__ == "__main__":
    run_stage(train)
