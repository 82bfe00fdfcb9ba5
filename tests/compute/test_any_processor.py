"""Whole models compute the same numbers whatever products a processor or a PyTorch build has."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from pipeline.clip.frozen import FrozenClip
from pipeline.compute.packed_linear import pack_frozen
from pipeline.model.language_model import load_language_model
from pipeline.pretrained.folder import find_pretrained
from tests.world import jpeg

REFUSED = {
    "no bfloat16 kernels": [torch.bfloat16],
    "no packing at all": [torch.bfloat16, torch.float32],
}
CLOSE = {"float32": 1e-5, "bfloat16": 3e-2}
"""Largest difference from this machine, of a unit vector's component or of a likelihood in nats."""

as_processor = pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
in_precision = pytest.mark.parametrize("precision", CLOSE)


@as_processor
@in_precision
def test_clip(tiny_clip: Path, refuse_packing, refused, precision: str) -> None:
    texts = ["Mara opens the door.", "In the kitchen Tom pours the tea; he does not look up."]

    def embed() -> list[np.ndarray]:
        clip = FrozenClip.load(str(tiny_clip), precision=precision, batch_size=4)
        images = np.stack([clip.preprocess(jpeg(seed)) for seed in range(3)])
        return [clip.encode_images(images), clip.encode_texts(texts)]

    here = embed()
    refuse_packing(*refused)
    for there, wanted in zip(embed(), here, strict=True):
        np.testing.assert_allclose(there, wanted, atol=CLOSE[precision])


@as_processor
@in_precision
def test_language_model(tiny_gpt2: Path, refuse_packing, refused, precision: str) -> None:
    ids = torch.arange(24).view(2, 12)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        """Likelihood of each token, and the gradient of their sum at the words' embeddings."""
        folder = find_pretrained("decoder.model", str(tiny_gpt2), None)
        lm = load_language_model(folder, getattr(torch, precision))
        lm.requires_grad_(False).eval()
        pack_frozen(lm)
        words = lm.get_input_embeddings()(ids).requires_grad_()
        nll = -lm(inputs_embeds=words).logits.float().log_softmax(dim=-1)
        nll = nll[:, :-1].gather(2, ids[:, 1:, None]).squeeze(2)
        nll.sum().backward()
        return nll.detach(), words.grad.float().flatten()

    nll, slope = run()
    refuse_packing(*refused)
    nll_there, slope_there = run()
    torch.testing.assert_close(nll_there, nll, rtol=0, atol=CLOSE[precision])
    assert cosine_similarity(slope_there, slope, dim=0) > 0.999
