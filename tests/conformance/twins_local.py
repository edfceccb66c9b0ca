"""NumPy float64 twins of layers on maps: loops over pixels, heads and windows."""

import math

import numpy as np


def local_attention(weights, x, k, heads, scale=1.0, strides=1, mask=None):
    """(Y, A) of LocalSelfAttention2D, position by position."""
    batch, height, width, _ = x.shape
    query, key, value = (x @ weights[f"{name}_kernel"] for name in ("query", "key", "value"))
    dim, reach = query.shape[-1] // heads, k // 2
    real = np.ones(x.shape[:3], bool) if mask is None else np.asarray(mask) != 0
    outputs = np.zeros(query.shape)
    scores = np.zeros((batch, height, width, heads, k, k))
    for b, i, j, h in np.ndindex(batch, height, width, heads):
        if not real[b, i, j]:
            continue
        own = slice(h * dim, (h + 1) * dim)
        energies = {}
        for u, v in np.ndindex(k, k):
            row, column = i + u - reach, j + v - reach
            if 0 <= row < height and 0 <= column < width and real[b, row, column]:
                place = [weights["row_embeddings"][u], weights["column_embeddings"][v]]
                met = key[b, row, column, own] + np.concatenate(place)
                energies[u, v] = scale * float(query[b, i, j, own] @ met)
        powers = {at: math.exp(e - max(energies.values())) for at, e in energies.items()}
        for (u, v), power in powers.items():
            share = power / sum(powers.values())
            scores[b, i, j, h, u, v] = share
            outputs[b, i, j, own] += share * value[b, i + u - reach, j + v - reach, own]
    return block_averages(outputs, strides, real), scores


def attention_stem(weights, x, k, heads, mask=None):
    """(Y, A) of AttentionStem, position by position."""
    batch, height, width, _ = x.shape
    query, key = x @ weights["query_kernel"], x @ weights["key_kernel"]
    mixtures = len(weights["mixture_embeddings"])
    kernels = [weights[f"value_kernel_{m}"] for m in range(mixtures)]
    dim = query.shape[-1] // heads
    real = np.ones(x.shape[:3], bool) if mask is None else np.asarray(mask) != 0
    value = np.zeros(query.shape)
    for b, i, j in np.ndindex(batch, height, width):
        place = weights["row_embeddings"][i % k] + weights["column_embeddings"][j % k]
        powers = np.exp(weights["mixture_embeddings"] @ place)
        for power, kernel in zip(powers, kernels, strict=True):
            value[b, i, j] += power / powers.sum() * (x[b, i, j] @ kernel)
    outputs = np.zeros(query.shape)
    scores = np.zeros((batch, height, width, heads, k, k))
    for b, i, j, h in np.ndindex(batch, height, width, heads):
        if not real[b, i, j]:
            continue
        own, top, left = slice(h * dim, (h + 1) * dim), i // k * k, j // k * k
        powers = {
            (u, v): math.exp(float(query[b, i, j, own] @ key[b, top + u, left + v, own]))
            for u, v in np.ndindex(k, k)
            if top + u < height and left + v < width and real[b, top + u, left + v]
        }
        for (u, v), power in powers.items():
            share = power / sum(powers.values())
            scores[b, i, j, h, u, v] = share
            outputs[b, i, j, own] += share * value[b, top + u, left + v, own]
    return outputs, scores


def block_averages(x, size, real):
    """The mean of the real positions of each block of size × size, zero where there are none."""
    height, width = (-(-n // size) for n in x.shape[1:3])
    result = np.zeros((len(x), height, width, x.shape[-1]))
    for b, i, j in np.ndindex(len(x), height, width):
        block = (b, slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size))
        if real[block].any():
            result[b, i, j] = x[block][real[block]].mean(0)
    return result
