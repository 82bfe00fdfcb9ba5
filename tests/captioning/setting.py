"""Generation settings for tests."""

from typing import Any

from pipeline.params import GenerateParams


def settings(**changes: Any) -> GenerateParams:
    return GenerateParams(**{"max_new_tokens": 24, "batch_size": 3} | changes)
