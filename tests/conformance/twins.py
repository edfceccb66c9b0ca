"""NumPy float64 twins: the formulas written out row by row, independent of the library."""

import math

import numpy as np


def attend(query, key, value, mask=None, causal=False):
    """Softmax attention over (B, T, Dq), (B, S, Dq), (B, S, Dv), position by position."""
    batch, length, dim = query.shape
    outputs = np.zeros((batch, length, value.shape[2]))
    scores = np.zeros((batch, length, value.shape[1]))
    for b in range(batch):
        for t in range(length):
            allowed = [
                s
                for s in range(value.shape[1])
                if (mask is None or mask[b, s]) and (not causal or s <= t)
            ]
            energies = [float(query[b, t] @ key[b, s]) / math.sqrt(dim) for s in allowed]
            powers = [math.exp(e - max(energies)) for e in energies]
            for s, power in zip(allowed, powers, strict=True):
                scores[b, t, s] = power / sum(powers)
                outputs[b, t] += scores[b, t, s] * value[b, s]
    return outputs, scores


def average(tokens, mask):
    """The mean of the marked positions of (B, T, D)."""
    out = np.zeros((len(tokens), tokens.shape[2]))
    for mean, row, here in zip(out, tokens, np.asarray(mask, bool), strict=True):
        if here.any():
            mean[:] = row[here].mean(0)
    return out


def unit(pooled, present):
    """Rows brought to length 16; absent rows are zero."""
    out = np.zeros_like(pooled)
    for row, (vector, here) in enumerate(zip(pooled, present, strict=True)):
        if here:
            out[row] = vector / np.linalg.norm(vector) * 16
    return out


def layer_norm(tokens, gamma, beta, epsilon=1e-5):
    centred = tokens - tokens.mean(-1, keepdims=True)
    return centred / np.sqrt(tokens.var(-1, keepdims=True) + epsilon) * gamma + beta


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
