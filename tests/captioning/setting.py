"""Generation settings for tests."""

from typing import Any

from pipeline.params import GenerateParams


def settings(**changes: Any) -> GenerateParams:
    return GenerateParams.model_validate(
        {
            "strategy": "greedy",
            "max_new_tokens": 20,
            "temperature": 1.0,
            "top_p": 0.9,
            "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "batch_size": 3,
        }
        | changes
    )
