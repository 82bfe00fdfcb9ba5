"""The adversarial training as a whole: from features and captions to the final model's folder."""

from pathlib import Path

from pipeline.adversarial.captions import make_source
from pipeline.adversarial.discriminator import Discriminator, save_discriminator
from pipeline.adversarial.objective import AdversarialObjective
from pipeline.adversarial.rewards import make_reward
from pipeline.adversarial.tripwires import Tripwires
from pipeline.captioning.sampler import Sampler
from pipeline.captioning.samples import read_samples
from pipeline.clip.frozen import FrozenClip
from pipeline.common.checksums import replacing_folder
from pipeline.common.errors import UserError
from pipeline.common.stage import Inputs
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.compute.memory import keep_freed_memory
from pipeline.dataset.loaded import LoadedDataset
from pipeline.dataset.story_dataset import Stories
from pipeline.model.config import Encoder
from pipeline.model.folder import load_generator, write_generator
from pipeline.model.language_model import load_prompts
from pipeline.model.layout import DISCRIMINATOR_FILE, read_params
from pipeline.params import Params
from pipeline.training.checkpoint import PIPELINE, TRAINING_CODE, claim_checkpoints
from pipeline.training.curves import Curves
from pipeline.training.launch import refuse_torchrun
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.trainer import Trainer


def train_adversarially(
    inputs: Inputs, captions: Path, model: Path, out: Path, live: Path, params: Params
) -> None:
    """Train the baseline in the folder `model` on; every variant but `none`.

    Args:
        captions: what the baseline wrote for training stories, if the variant reads any.
        out: the final model's folder; live: the folder of curves. Both are written.
        params: the groups seed, loss, train, generate and gan; kept in the model folder.

    Raises:
        UserError: `captions` was written by another generator or under other settings; or torchrun
            has started several processes.
    """
    refuse_torchrun("adversarial")
    gan = params.gan
    used = params.model_dump(mode="json")

    # --- model
    keep_freed_memory()
    make_deterministic(params.seed)
    device = pick_device()
    stories = Stories.open(inputs)
    images, texts = stories.images, stories.texts
    generator = load_generator(model, device, (images.dim, texts.dim))
    made_by = read_params(model)
    discriminator = None
    if gan.has_discriminator:
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
    samples, attributes = read_samples(captions)
    if gan.reads_cache and attributes["fingerprint"] != fingerprint:
        raise UserError(
            f"{captions} was written by another generator or under other settings than "
            f"{model} and params.yaml give now: run dvc repro captions"
        )

    # --- training
    # The source reads true captions by the generator as it comes: the trainer restores another.
    objective = AdversarialObjective(
        SupervisedObjective(generator, params.loss, train, params.train.embedding_windows),
        discriminator,
        make_reward(gan, discriminator, clip),
        make_source(gan, sampler, train, samples, params.seed),
        train,
        Tripwires(sampler, val),
        gan,
    )
    written = [key.tobytes().hex() for key in samples.key]
    checkpoints = claim_checkpoints(
        {"stage": "adversarial", "params": used, "captions": written},
        stories,
        fingerprint,
        (*TRAINING_CODE, PIPELINE / "adversarial", PIPELINE / "captioning"),
    )
    schedule = {"epochs": gan.epochs, "lr": gan.lr, "warmup_steps": gan.warmup_steps}
    settings = params.train.model_copy(update=schedule)
    with Curves(live) as curves:
        trainer = Trainer(objective, train, val, settings, params.seed, checkpoints, curves)
        outcome = trainer.run(warm_start=True)
    with replacing_folder(out) as partial:
        write_generator(partial, generator, made_by | used, Encoder.read(model))
        if discriminator is not None:
            save_discriminator(partial / DISCRIMINATOR_FILE, discriminator)
    checkpoints.clear()
    kept = f"epoch {outcome.best_epoch + 1}" if outcome.best_epoch >= 0 else "the baseline"
    print(
        f"{gan.variant}, signal {gan.signal}: {outcome.steps} steps; kept {kept}, validation nll "
        f"{outcome.best_value:.4f} nats a token; model in {out}"
    )
