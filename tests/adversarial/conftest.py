"""Fixtures that these tests share with those of training."""

from tests.training.conftest import toy as toy
from tests.training.conftest import world as world
