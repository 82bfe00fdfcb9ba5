"""A key-value cache that writes in place, for decoders whose length is known beforehand.

Transformers' `DynamicCache` concatenates: every step copies all keys and values of every layer.
Generation knows its longest sequence before it starts, so `RoomyLayer` allocates it once and hands
out views. With 32 captions at a time on a CPU this makes a step a quarter to a third faster.
"""

from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class RoomyLayer(DynamicLayer):
    """Keys and values [batch, heads, room, head_dim] of one layer, a growing part of them used."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.used = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.key_room = _room_like(key_states, self.room)
        self.value_room = _room_like(value_states, self.room)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.used + key_states.shape[-2]
        if end > self.room:
            raise ValueError(f"the cache has room for {self.room} positions, {end} were written")
        self.key_room[:, :, self.used : end] = key_states
        self.value_room[:, :, self.used : end] = value_states
        return self._use(end)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with the rows `beam_idx` of the batch; there may be fewer or more than before."""
        if not self.is_initialized:
            return
        for name in ("key_room", "value_room"):
            old: Tensor = getattr(self, name)
            _, heads, _, head_dim = old.shape
            new = old.new_empty(len(beam_idx), heads, self.room, head_dim)
            new[:, :, : self.used] = old[beam_idx, :, : self.used]
            setattr(self, name, new)
        self._use(self.used)

    def _use(self, end: int) -> tuple[Tensor, Tensor]:
        self.used = end
        keys, values = self.key_room[:, :, :end], self.value_room[:, :, :end]
        self.keys, self.values = keys, values
        return keys, values


def roomy_cache(config: PretrainedConfig, room: int) -> Cache:
    """A cache for `room` positions of the decoder that `config` describes.

    Layers of attention are replaced, those with a sliding window too: the mask keeps what is
    outside of it from sight, in an architecture that has one, and a cache that forgot it by the
    configuration's word would not equal reading everything at once in one that has none. Layers of
    another kind (recurrent states) stay as Transformers makes them for that architecture.
    """
    attention = (DynamicLayer, DynamicSlidingWindowLayer)
    cache = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer(room) if type(layer) in attention else layer for layer in cache.layers
    ]
    return cache


def _room_like(states: Tensor, room: int) -> Tensor:
    batch, heads, _, head_dim = states.shape
    return states.new_empty(batch, heads, room, head_dim)
