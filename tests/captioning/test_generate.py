"""Captions of whole stories: prompt, prefix, order and seeds."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from pipeline.captioning.generate import Caption, generate_captions, story_seed
from pipeline.captioning.next_token import PLAUSIBLE
from pipeline.common.errors import UserError
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from tests.captioning.conftest import settings
from tests.oracle import greedy

SEEDS = list(range(7))


def plainly(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts, i: int, prefix: bool
) -> Caption:
    """One story, greedy."""
    with torch.no_grad():
        encoded = generator.encode(
            torch.from_numpy(contexts.images[[i]]), torch.from_numpy(contexts.texts[[i]])
        )
        ids = torch.tensor([prompts.prompt_ids(contexts.captions[i])])
        before = generator.decoder.embed(encoded.prefix if prefix else None, ids)[0]
    written = greedy(generator.decoder.lm, before, 24, prompts.eos_id)
    return Caption(written.tokens, written.finished, [], prompts.decode(written.tokens))


@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_equals_one_story_at_a_time_without_cache(
    generator: StoryGenerator,
    prompts: PromptBuilder,
    contexts: Contexts,
    batch_size: int,
    prefix: bool,
) -> None:
    lengths = {len(prompts.prompt_ids(captions)) for captions in contexts.captions}
    assert len(lengths) > 3, "the prompts must be of mixed lengths"
    expected = [plainly(generator, prompts, contexts, i, prefix) for i in range(7)]
    made = []
    out = generate_captions(
        generator,
        prompts,
        contexts,
        settings(batch_size=batch_size),
        SEEDS,
        use_prefix=prefix,
        progress=made.append,
    )
    assert out == expected
    assert sum(made) == 7


def test_the_prefix_changes_the_caption_and_no_prefix_ignores_the_embeddings(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    images, texts = contexts.images[::-1].copy(), contexts.texts[::-1].copy()
    swapped = replace(contexts, images=images, texts=texts)
    for prefix in (True, False):
        own = generate_captions(generator, prompts, contexts, settings(), SEEDS, prefix)
        other = generate_captions(generator, prompts, swapped, settings(), SEEDS, prefix)
        assert (own == other) is not prefix


def test_a_sample_belongs_to_its_story_and_seed(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    params = settings(strategy="nucleus", temperature=3.0, top_p=0.95)
    seeds = [story_seed(0, f"story {i}") for i in range(7)]
    all_of_them = generate_captions(generator, prompts, contexts, params, seeds)
    assert all_of_them == generate_captions(generator, prompts, contexts, params, seeds)
    some = [5, 2]
    assert [all_of_them[i] for i in some] == generate_captions(
        generator, prompts, contexts.take(some), params, [seeds[i] for i in some]
    )
    others = [story_seed(1, f"story {i}") for i in range(7)]
    assert all_of_them != generate_captions(generator, prompts, contexts, params, others)


def test_story_seeds_are_fixed_for_good() -> None:
    assert story_seed(0, "a") == story_seed(0, "a")
    assert len({story_seed(0, "a"), story_seed(1, "a"), story_seed(0, "b")}) == 3


def test_captions_are_one_line_without_special_tokens(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    for caption in generate_captions(generator, prompts, contexts, settings(), SEEDS):
        assert caption.text == " ".join(caption.text.split())
        assert "<|" not in caption.text


def test_a_long_prompt_shortens_the_caption_and_never_overruns(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    """With all positions but two taken, three tokens are written: the last is never read."""
    one = contexts.take([0])
    taken = generator.config.prefix_tokens
    positions = generator.decoder.lm.config.max_position_embeddings
    prompt = FixedPrompt(prompts, positions - taken - 2)
    out = generate_captions(generator, prompt, one, settings(), SEEDS[:1])
    assert len(prompt.decoded[0]) <= 3
    assert out[0].finished or len(prompt.decoded[0]) == 3
    with pytest.raises(UserError, match=r"has 512: lower prompt\.max_sequence_tokens"):
        too_long = FixedPrompt(prompts, positions - taken + 1)
        generate_captions(generator, too_long, one, settings(), SEEDS[:1])


class FixedPrompt(PromptBuilder):
    """A prompt of a given length, whatever the captions."""

    def __init__(self, like: PromptBuilder, length: int) -> None:
        super().__init__(like.tokenizer, like.params)
        self.length = length
        self.decoded: list[list[int]] = []

    def prompt_ids(self, captions: Any) -> list[int]:
        return [7] * self.length

    def decode(self, ids: Any) -> str:
        self.decoded.append(list(ids))
        return super().decode(ids)


def test_nothing_in_nothing_out_and_every_context_wants_a_seed(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    assert generate_captions(generator, prompts, contexts.take([]), settings(), []) == []
    with pytest.raises(ValueError, match="7 contexts with 6 seeds"):
        generate_captions(generator, prompts, contexts, settings(), SEEDS[:6])


@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_copies_of_a_context_are_its_own_captions_written_apart(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts, batch_size: int
) -> None:
    params = settings(strategy="nucleus", temperature=3.0, top_p=0.95, batch_size=batch_size)
    seeds = [story_seed(3, str(i)) for i in range(14)]
    apart = [
        generate_captions(generator, prompts, contexts.take([i // 2]), params, [seeds[i]])[0]
        for i in range(14)
    ]
    assert len({caption.text for caption in apart}) > 7, "the copies must differ"
    made: list[int] = []
    assert apart == generate_captions(
        generator, prompts, contexts, params, seeds, progress=made.append, copies=2
    )
    assert sum(made) == 14


def test_without_a_seed_the_nucleus_is_greedy(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    drawn = settings(strategy="nucleus", temperature=3.0)
    assert generate_captions(generator, prompts, contexts, drawn, [None] * 7) == generate_captions(
        generator, prompts, contexts, settings(), SEEDS
    )


def guided(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts, i: int, strength: float
) -> list[int]:
    """Tokens of one story by guidance, two whole readings a token."""
    lm = generator.decoder.lm
    with torch.no_grad():
        prefix = generator.encode(
            torch.from_numpy(contexts.images[[i]]), torch.from_numpy(contexts.texts[[i]])
        ).prefix
        ids = torch.tensor([prompts.prompt_ids(contexts.captions[i])])
        readings = [generator.decoder.embed(before, ids) for before in (prefix, None)]
        tokens: list[int] = []
        while len(tokens) < 24 and prompts.eos_id not in tokens:
            told, untold = (
                lm(inputs_embeds=reading).logits[0, -1].log_softmax(dim=-1) for reading in readings
            )
            scores = untold + strength * (told - untold)
            scores[told.exp() < PLAUSIBLE * told.exp().max()] = -torch.inf
            if not tokens:
                scores[prompts.eos_id] = -torch.inf
            tokens.append(int(scores.argmax()))
            word = lm.get_input_embeddings()(torch.tensor([[tokens[-1]]]))
            readings = [torch.cat([reading, word], dim=1) for reading in readings]
    return tokens


def test_guidance_equals_two_readings_of_one_story_at_a_time(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    out = generate_captions(generator, prompts, contexts, settings(guidance=2.5), SEEDS)
    assert [caption.tokens for caption in out] == [
        guided(generator, prompts, contexts, i, 2.5) for i in range(7)
    ]
    assert out != generate_captions(generator, prompts, contexts, settings(), SEEDS)


def test_the_prompt_alone_is_guided_by_nothing(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts
) -> None:
    plain, pushed = (
        generate_captions(generator, prompts, contexts, params, SEEDS, use_prefix=False)
        for params in (settings(), settings(guidance=2.5))
    )
    assert plain == pushed
