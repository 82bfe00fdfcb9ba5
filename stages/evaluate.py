"""Stage `evaluate`: captions for val and test, scored between their reference rows."""

from pathlib import Path

from pipeline.adversarial.discriminator import load_discriminator
from pipeline.captioning.choose import Captioner
from pipeline.clip.frozen import FrozenClip
from pipeline.common.files import write_bytes
from pipeline.common.locks import claim_outputs
from pipeline.common.stage import Inputs, run_stage
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.dataset.splits import read_splits
from pipeline.evaluation.card import model_card
from pipeline.evaluation.discriminator import DiscriminatorScorer
from pipeline.evaluation.evaluate import Subject
from pipeline.evaluation.evaluate import evaluate as evaluate_model
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.results import MEASURES_FILE, read_measures
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.features.store import FeatureStore
from pipeline.model.config import Trained
from pipeline.model.folder import load_generator
from pipeline.model.language_model import load_prompts
from pipeline.model.layout import DISCRIMINATOR_FILE
from pipeline.params import load_params


def evaluate(
    inputs: Inputs,
    annotations: Path,
    raw: Path,
    model: Path,
    metrics: Path,
    card: Path,
    out: Path,
) -> None:
    """Let the model in the folder `model` write captions for val and test, and score them: figures
    in `metrics`, every caption with its scores in the folder `out`. The judge sees images in `raw`;
    `annotations` says what they hold.
    """
    params = load_params()
    claim_outputs(out, metrics, card)

    make_deterministic(params.seed)
    images, texts = FeatureStore.open(inputs.images), FeatureStore.open(inputs.texts)
    device = pick_device()
    generator = load_generator(model, device, (images.dim, texts.dim))
    # The losses are those that this model was trained on, whatever params.yaml says by now.
    trained = Trained.read(model)
    prefix = params.evaluate.clip_prefix
    judge = None
    if params.evaluate.judge is not None:
        judge = Judge.load(params.evaluate.judge, images, texts, prefix, raw)
    clip = FrozenClip.rebuild(texts.attributes)
    discriminator = None
    if (path := model / DISCRIMINATOR_FILE).is_file():
        discriminator = load_discriminator(path, device)
    scored = evaluate_model(
        Subject(
            captioner=Captioner(
                generator, load_prompts(generator.config), clip, params.generate, discriminator
            ),
            scorer=CaptionScorer(clip.of_whole_captions(), prefix),
            judge=judge,
            discriminator=DiscriminatorScorer(discriminator, clip) if discriminator else None,
            loss=trained.loss,
            loss_batch_size=trained.train.batch_size,
            seed=params.seed,
        ),
        inputs.frames,
        annotations,
        read_splits(inputs.splits),
        images,
        texts,
        out,
        metrics,
    )
    write_bytes(card, model_card(model, raw, read_measures(out / MEASURES_FILE)).encode())
    for split, figures in scored.items():
        row = ", ".join(
            f"{name} {figures[name]:.3f}"
            for name in ("clip_cosine", "clip_cosine_ground_truth", "clip_cosine_shuffled", "lift")
            if name in figures
        )
        print(f"{split}: {row} ({figures['stories']} stories)")


if __name__ == "__main__":
    run_stage(evaluate)
