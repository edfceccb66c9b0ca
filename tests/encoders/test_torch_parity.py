"""Against PyTorch: ResNet-50, ViT-B/16 and BERT-base of equal weights give equal features.

`tests/goldens/torch_encoders.py` wrote the features of torchvision's `resnet50` and `vit_b_16` and
of transformers' `BertModel`, computed in float64. What they agree on:

- ResNet-50 has the stride of a block in its 3 × 3 convolution ("v1.5", as torchvision's; in He et
  al. 2016 it is in the first 1 × 1), pads by (k - 1) / 2 on all sides, and has an epsilon of 1e-5.
- ViT-B/16 normalises before each branch with an epsilon of 1e-6, has the exact GELU, and adds
  positions to the class token too.
- BERT-base normalises after each branch with an epsilon of 1e-12, and its GELU is the one with
  tanh, as in Google's code: `hidden_act="gelu_pytorch_tanh"` of transformers, whose own default is
  the exact GELU.
"""

import pathlib

import numpy as np
import pytest

from tatl_keras import encoders
from tests.encoders.torch_weights import fill_bert, fill_resnet, fill_vit
from tests.goldens import equal_weights

TOLERANCE = 1e-4
PATH = pathlib.Path(__file__).parents[1] / "goldens" / "torch_encoders.npz"

pytestmark = pytest.mark.filterwarnings("ignore:.*random weights")


def golden(case):
    with np.load(PATH) as file:
        return {n.split("/")[1]: file[n] for n in file.files if n.startswith(f"{case}/")}


def check(features, case, variants):
    """Pooled vectors and tokens agree, and would not with another convention."""
    expected = golden(case)
    pooled = np.array(features["pooled"])
    tokens = np.array(features["tokens"])[:, expected["places"]]
    for found, wanted in ((pooled, expected["pooled"]), (tokens, expected["tokens"])):
        assert 0.9 < wanted.std() < 3 and np.ptp(wanted, axis=0).max() > 0.5
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    for variant in variants:
        other = golden(f"{case}_{variant}")["pooled"]
        assert np.abs(pooled - other).max() > 5 * TOLERANCE, variant


def test_resnet50():
    encoder, _ = encoders.build_image("resnet50", preset=None, seed=0)
    assert fill_resnet(encoder.backbone).left == []
    check(encoder(equal_weights.pictures()), "resnet50", ["stride_in_1x1"])


def test_vit_b16():
    encoder, _ = encoders.build_image("vit_b16", preset=None, seed=0)
    assert fill_vit(encoder.backbone).left == []
    check(encoder(equal_weights.pictures()), "vit_b16", ["gelu_tanh"])


def test_bert_base():
    encoder, _ = encoders.build_text("bert_base", preset=None, seed=0)
    left = fill_bert(encoder.backbone).left
    assert left == ["pooled_dense/kernel", "pooled_dense/bias"]  # BERT's own pooler is not read
    token_ids, padding_mask = equal_weights.texts()
    assert padding_mask.sum(axis=1).tolist() == [12, 7]
    features = encoder({"token_ids": token_ids, "padding_mask": padding_mask})
    check(features, "bert_base", ["gelu", "epsilon"])
