"""Fixtures that these tests share with those of the features."""

from tests.features.conftest import clip_copy as clip_copy
from tests.features.conftest import tiny_data as tiny_data
