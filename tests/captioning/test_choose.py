"""The choice of one caption among several."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.captioning.choose import Captioner
from pipeline.captioning.generate import generate_captions
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from tests.captioning.conftest import settings

SEEDS = list(range(7))
DRAWN = {"temperature": 3.0, "top_p": 0.95, "samples": 4}


@pytest.fixture(scope="module")
def clip(tiny_clip) -> FrozenClip:
    return FrozenClip.load(str(tiny_clip), precision="float32")


@pytest.fixture
def captioner(generator: StoryGenerator, prompts: PromptBuilder, clip: FrozenClip) -> Captioner:
    return Captioner(generator, prompts, clip, settings(**DRAWN))


def test_the_first_is_the_strategys_own_and_the_others_belong_to_the_seed(
    captioner: Captioner, contexts: Contexts
) -> None:
    every = captioner.candidates(contexts, SEEDS, 4)
    greedy = generate_captions(captioner.generator, captioner.prompts, contexts, settings(), SEEDS)
    assert [several[0].caption for several in every] == greedy
    assert all(len({candidate.caption.text for candidate in several}) > 1 for several in every)
    (alone,) = captioner.candidates(contexts.take([5]), [5], 4)
    assert [c.caption for c in alone] == [c.caption for c in every[5]]


def test_the_best_scored_is_written(captioner: Captioner, contexts: Contexts) -> None:
    made: list[int] = []
    written = captioner.write(contexts, SEEDS, made.append)
    best = [
        max(several, key=lambda c: c.score).caption
        for several in captioner.candidates(contexts, SEEDS, 4)
    ]
    assert written == best
    assert sum(made) == 7


@pytest.mark.parametrize("rule", ["predicted", "mbr", "likelihood"])
def test_scores_by_hand(
    captioner: Captioner, contexts: Contexts, clip: FrozenClip, rule: str
) -> None:
    params = settings(**DRAWN, choose=rule)
    ruled = Captioner(captioner.generator, captioner.prompts, clip, params)
    image, text = ruled.generator.predict_embeddings(contexts.images, contexts.texts)
    for i, several in enumerate(ruled.candidates(contexts, SEEDS, 4)):
        texts = [candidate.caption.text for candidate in several]
        said = np.array([[bool(text)] for text in texts])  # nothing said is near to nothing
        vectors = clip.encode_texts(texts) * said
        for place, candidate in enumerate(several):
            others = np.delete(vectors, place, axis=0)
            expected = {
                "predicted": (vectors[place] @ image[i] + vectors[place] @ text[i]) / 2,
                "mbr": (others @ vectors[place]).mean(),
                "likelihood": np.mean(candidate.caption.logprobs),
            }[rule]
            assert candidate.score == pytest.approx(float(expected), abs=1e-4)


@dataclass
class AwayFromTheFirst:
    """Likes what is far from the first axis; sees what is predicted, never a target."""

    def score_pairs(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        return -np.abs(texts[:, 0]) + 0 * images[:, 0]


def test_a_discriminator_chooses_where_there_is_one(
    captioner: Captioner, contexts: Contexts, clip: FrozenClip
) -> None:
    params = settings(**DRAWN, choose="discriminator")
    with pytest.raises(UserError, match=r"generate\.choose is discriminator, but this model"):
        Captioner(captioner.generator, captioner.prompts, clip, params)
    ruled = Captioner(captioner.generator, captioner.prompts, clip, params, AwayFromTheFirst())
    for several in ruled.candidates(contexts, SEEDS, 4):
        texts = [candidate.caption.text for candidate in several]
        vectors = clip.encode_texts(texts) * np.array([[bool(text)] for text in texts])
        assert [c.score for c in several] == pytest.approx(-np.abs(vectors[:, 0]), abs=1e-5)


def test_one_sample_is_the_strategys_own_and_nothing_in_gives_nothing(
    captioner: Captioner, contexts: Contexts, clip: FrozenClip
) -> None:
    plain = Captioner(captioner.generator, captioner.prompts, clip, settings())
    assert plain.write(contexts, SEEDS) == generate_captions(
        plain.generator, plain.prompts, contexts, settings(), SEEDS
    )
    assert captioner.write(contexts.take([]), []) == []
