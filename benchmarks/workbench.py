"""What the timed parts of the full-size check work with: its folder, opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from benchmarks.baselines import Window
from pipeline.clip.frozen import FrozenClip
from pipeline.compute.device import make_deterministic, pick_device
from pipeline.compute.memory import keep_freed_memory
from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.dataset.story_dataset import COLUMNS, StoryDataset
from pipeline.features.sources import stream_images
from pipeline.features.store import FeatureStore
from pipeline.model.folder import load_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.model.prompt import PromptBuilder
from pipeline.params import Params, load_params
from pipeline.stories.frames import read_frames
from pipeline.training.optimiser import make_optimiser
from pipeline.training.supervised import SupervisedObjective

RAW, FRAMES = Path("data/raw"), Path("data/stories/frames.parquet")


@dataclass(frozen=True)
class Workbench:
    """Model and data of a finished full-size check, the first window of every story."""

    params: Params
    device: torch.device
    generator: StoryGenerator
    prompts: PromptBuilder
    clip: FrozenClip
    data: LoadedDataset

    @classmethod
    def open(cls) -> "Workbench":
        """Of the working directory; the process is set up as the training stages set up theirs."""
        params = load_params()
        keep_freed_memory()
        make_deterministic(params.seed)
        device = pick_device()
        images = FeatureStore.open(Path("data/features/image"))
        texts = FeatureStore.open(Path("data/features/text"))
        generator = load_generator(Path("data/models/baseline"), device)
        prompts = load_prompts(generator.config)
        frames = read_frames(FRAMES, COLUMNS)
        stories = list(dict.fromkeys(frames.column("story_id").to_pylist()))
        windows = StoryDataset.cut(frames, images, texts, stories, generator.config.k, "first")
        return cls(
            params,
            device,
            generator,
            prompts,
            FrozenClip.rebuild(texts.attributes, params.clip.batch_size),
            LoadedDataset.of(windows, prompts, device),
        )

    def plain_generator(self) -> StoryGenerator:
        """The same generator on the language model as Transformers loads it, in float32."""
        lm = AutoModelForCausalLM.from_pretrained(self.params.decoder.model, dtype=torch.float32)
        plain = StoryGenerator(self.generator.config, lm).to(self.device).eval()
        plain.load_trainable(self.generator.trainable_state())
        return plain

    def trainer(self) -> Callable[[Batch], None]:
        """A step of the training loop from cached features: losses, gradients, update."""
        generator = self.generator.train()
        train = self.params.train
        objective = SupervisedObjective(
            generator, self.params.loss, self.data, train.embedding_windows, train.told_share
        )
        parameters = generator.trainable()
        optimiser = make_optimiser(parameters, train)

        def step(batch: Batch) -> None:
            loss = objective(batch)["loss"]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters.values(), train.max_grad_norm)
            optimiser.step()
            loss.item()  # waits for an accelerator

        return step

    def on_disk(self, rows: NDArray[np.int64]) -> list[Window]:
        """The windows `rows` with their images as encoded bytes."""
        data = self.data.windows
        windows = []
        for row in rows:
            frames = np.array([*data.context[row], data.target[row]])
            images = [image.data for image in stream_images(RAW, FRAMES, frames)]
            windows.append(Window(images, data.captions(frames)))
        return windows
