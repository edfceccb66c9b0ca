"""Makes torch_attention.npz: attention as PyTorch computes it, in float64.

    pip install "tatl_keras[benchmark]"
    python tests/goldens/torch_attention.py

Arrays are named <case>/<what>. `sdpa_*` holds the inputs of `scaled_dot_product_attention`, its
output and the gradients of sum(output * by_outputs); `mha_*` those of `nn.MultiheadAttention`, its
weights in PyTorch's own layout, its output and its scores of each head.
"""

import pathlib

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

BATCH, HEADS, ROWS, COLUMNS, DIM = 2, 3, 5, 7, 11


def main():
    arrays = {}
    rng = np.random.default_rng(0)
    mask = rng.random((BATCH, 1, ROWS, COLUMNS)) > 0.4
    mask[..., 0] = True  # PyTorch gives NaN where nothing is allowed
    arrays |= sdpa("sdpa_plain", rng)
    arrays |= sdpa("sdpa_masked", rng, attn_mask=torch.tensor(mask))
    arrays |= sdpa("sdpa_causal", rng, columns=ROWS, is_causal=True)
    arrays |= mha("mha_plain", rng, bias=False)
    arrays |= mha("mha_bias", rng, bias=True)
    path = pathlib.Path(__file__).with_suffix(".npz")
    np.savez_compressed(path, torch_version=torch.__version__, **arrays)


def sdpa(name, rng, columns=COLUMNS, **kwargs):
    shapes = [(ROWS, DIM), (columns, DIM), (columns, 13), (ROWS, 13)]
    inputs = [torch.tensor(rng.normal(size=(BATCH, HEADS, *shape))) for shape in shapes]
    *inputs, by_outputs = inputs
    for x in inputs:
        x.requires_grad_()
    outputs = scaled_dot_product_attention(*inputs, **kwargs)
    (outputs * by_outputs).sum().backward()
    found = dict(zip(("query", "key", "value"), inputs, strict=True))
    found |= {f"by_{key}": x.grad for key, x in found.items()}
    found |= {"outputs": outputs, "by_outputs": by_outputs}
    if "attn_mask" in kwargs:
        found["mask"] = kwargs["attn_mask"]
    return {f"{name}/{key}": x.detach().numpy() for key, x in found.items()}


def mha(name, rng, bias):
    width = HEADS * 4
    layer = torch.nn.MultiheadAttention(
        width, HEADS, bias=bias, kdim=10, vdim=14, batch_first=True, dtype=torch.float64
    )
    for parameter in layer.parameters():
        parameter.data = torch.tensor(rng.normal(size=parameter.shape) * 0.4)
    query, key, value = (
        torch.tensor(rng.normal(size=(BATCH, *shape)))
        for shape in ((ROWS, width), (COLUMNS, 10), (COLUMNS, 14))
    )
    hidden = torch.tensor(np.arange(COLUMNS) >= np.array([[4], [6]]))
    outputs, scores = layer(query, key, value, key_padding_mask=hidden, average_attn_weights=False)
    found = dict(layer.named_parameters()) | {"query": query, "key": key, "value": value}
    found |= {"value_mask": ~hidden, "outputs": outputs, "scores": scores}
    return {f"{name}/{key}": x.detach().numpy() for key, x in found.items()}


if __name__ == "__main__":
    main()
