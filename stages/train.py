"""Stage `train`: the multitask baseline, from features alone."""

from contextlib import nullcontext
from pathlib import Path

from pipeline.common.locks import claim_outputs
from pipeline.common.stage import Inputs, run_stage
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.compute.memory import keep_freed_memory
from pipeline.dataset.loaded import LoadedDataset
from pipeline.dataset.story_dataset import Stories
from pipeline.model.config import Encoder, GeneratorConfig
from pipeline.model.folder import save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import load_params
from pipeline.training.checkpoint import TRAINING_CODE, claim_checkpoints
from pipeline.training.curves import Curves
from pipeline.training.launch import spread
from pipeline.training.processes import Processes
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.trainer import Trainer


def train(inputs: Inputs, out: Path, live: Path) -> None:
    """Train fusion encoder, heads and prefix over the language model; write the model to `out`, its
    loss curves to `live`."""
    spread(lambda: load_params().train.processes, _train, inputs, out, live)


def _train(inputs: Inputs, out: Path, live: Path, processes: Processes) -> None:
    params = processes.from_first(
        lambda: load_params().only(
            "context", "decoder", "fusion", "loss", "prompt", "seed", "train"
        )
    )
    if processes.first:
        claim_outputs(out, live)
    used = params.model_dump(mode="json")

    # --- data
    stories = Stories.open(inputs)
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
    training, validation = (LoadedDataset.of(part, prompts, device) for part in windows)

    # --- training
    checkpoints = claim_checkpoints(
        {"params": used}, stories, generator.fingerprint(), TRAINING_CODE, processes
    )
    objective = SupervisedObjective(
        generator,
        params.loss,
        training,
        params.train.embedding_windows,
        params.train.told_share,
        processes,
    )
    with Curves(live) if processes.first else nullcontext() as curves:
        outcome = Trainer(
            objective, training, validation, params.train, params.seed, checkpoints, curves
        ).run()
    if not processes.first:
        return
    encoder = Encoder.of(stories.images.attributes, stories.texts.attributes)
    save_generator(out, generator, used, encoder)
    checkpoints.clear()
    print(
        f"trained {outcome.steps} steps; best epoch {outcome.best_epoch + 1}: "
        f"validation nll {outcome.best_value:.4f} nats a token; model in {out}"
    )


if __name__ == "__main__":
    run_stage(train)
