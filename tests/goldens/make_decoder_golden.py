"""Makes decoders.npz: what decoders write next, and by beam search, as PyTorch computes it.

    pip install "tatl_keras[benchmark]"
    python tests/goldens/make_decoder_golden.py

The Transformer is made of `nn.TransformerDecoderLayer`, the LSTM of `nn.LSTMCell`, in float64, with
the weights of `equal_weights.py`. Arrays are named <case>/<what>; `inputs` serve all. `logits`
are those after the last of four tokens; `token_ids`, `log_probs` and `scores` the sequences (rows,
beams, …) that a search in plain Python keeps: it calls the decoder with whole sequences, and there
are no caches.
`*_gelu_tanh` and `*_epsilon` are variants that a test must tell from these: the other form of the
activation, and one constant in all normalisations.
"""

import functools
import pathlib

import equal_weights
import numpy as np
import torch
from torch import nn
from torch.nn import functional

VOCABULARY, DIM, HEADS, LAYERS, INTERMEDIATE, MEMORY_DIM = 17, 12, 3, 2, 20, 10
EMBEDDING, ATTENTION, LENGTH = 8, 6, 7
BEAMS, PENALTY, START, PAD = 3, 0.6, 1, 0
# Which token ends a text, and a factor of one of the weights: with these, some searches end.
ENDS = {"transformer": 2, "lstm": 10}
FACTORS = {"transformer": {"token_embedding.weight": 0.25}, "lstm": {"output_logits.weight": 4}}
SMALLEST_GAP = 1e-3  # so that rounding cannot decide what the search keeps


def main():
    epsilon, gelu_tanh = (1e-5, 1e-3), functools.partial(functional.gelu, approximate="tanh")
    arrays = {f"inputs/{key}": value for key, value in inputs().items()}
    arrays |= case("transformer", Transformer(epsilon, functional.gelu))
    arrays |= case("lstm", LSTM())
    for name, other in (
        ("transformer_gelu_tanh", Transformer(epsilon, gelu_tanh)),
        ("transformer_epsilon", Transformer((1e-5, 1e-5), functional.gelu)),
    ):
        arrays[f"{name}/logits"] = last_logits(prepared("transformer", other))
    path = pathlib.Path(__file__).with_name("decoders.npz")
    np.savez_compressed(path, torch_version=torch.__version__, **arrays)


class Transformer(nn.Module):
    """Blocks that normalise first, between embeddings that are used twice."""

    def __init__(self, epsilon, activation):
        super().__init__()
        inner, outer = epsilon
        self.token_embedding = nn.Embedding(VOCABULARY, DIM)
        self.position_embedding = nn.Embedding(LENGTH, DIM)
        self.memory_norm = nn.LayerNorm(MEMORY_DIM, outer)
        self.memory_dense = nn.Linear(MEMORY_DIM, DIM, bias=False)
        self.output_norm = nn.LayerNorm(DIM, outer)
        self.blocks = nn.ModuleList(
            nn.TransformerDecoderLayer(
                DIM, HEADS, INTERMEDIATE, 0.0, activation, inner, batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )

    def forward(self, token_ids, memory, mask):
        length = token_ids.shape[1]
        memory = self.memory_dense(self.memory_norm(memory))
        x = DIM**0.5 * self.token_embedding(token_ids) + self.position_embedding.weight[:length]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        for block in self.blocks:
            x = block(x, memory, tgt_mask=later, memory_key_padding_mask=~mask)
        return self.output_norm(x) @ self.token_embedding.weight.T


class LSTM(nn.Module):
    """Show, Attend and Tell: looks at the memory by its state before each token."""

    def __init__(self):
        super().__init__()
        self.token_embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.cell = nn.LSTMCell(EMBEDDING + MEMORY_DIM, DIM)
        self.first_hidden = nn.Linear(MEMORY_DIM, DIM)
        self.first_carry = nn.Linear(MEMORY_DIM, DIM)
        self.memory_dense = nn.Linear(MEMORY_DIM, ATTENTION, bias=False)
        self.query_dense = nn.Linear(DIM, ATTENTION)
        self.attention = nn.Linear(ATTENTION, 1, bias=False)
        self.gate_dense = nn.Linear(DIM, 1)
        self.output_hidden = nn.Linear(DIM, EMBEDDING)
        self.output_context = nn.Linear(MEMORY_DIM, EMBEDDING, bias=False)
        self.output_logits = nn.Linear(EMBEDDING, VOCABULARY)

    def forward(self, token_ids, memory, mask):
        memory = memory * mask[..., None]
        mean = memory.sum(1) / mask.sum(1, keepdim=True)
        hidden, carry = self.first_hidden(mean).tanh(), self.first_carry(mean).tanh()
        logits = []
        for x in self.token_embedding(token_ids).unbind(1):
            keys = torch.tanh(self.memory_dense(memory) + self.query_dense(hidden)[:, None])
            energies = self.attention(keys)[..., 0].masked_fill(~mask, -torch.inf)
            context = torch.einsum("bs,bsd->bd", energies.softmax(-1), memory)
            context = self.gate_dense(hidden).sigmoid() * context
            hidden, carry = self.cell(torch.cat([x, context], -1), (hidden, carry))
            read = x + self.output_hidden(hidden) + self.output_context(context)
            logits.append(self.output_logits(read.tanh()))
        return torch.stack(logits, 1)


def prepared(name, network):
    """The network with the drawn weights; without the biases in attention, which ours has not."""
    for path, parameter in network.named_parameters():
        drawn = equal_weights.drawn(path, tuple(parameter.shape))
        absent = path.endswith(("in_proj_bias", "out_proj.bias"))
        factor = 0 if absent else FACTORS[name].get(path, 1)
        parameter.data = torch.tensor(drawn * np.float32(factor))
    return network.double().eval()


def inputs():
    """Beginnings of two texts, and the memories that they are about, one of them with padding."""
    rng = np.random.default_rng(0)
    token_ids = rng.integers(3, VOCABULARY, (2, 4))
    token_ids[:, 0] = START
    memory = rng.normal(size=(2, 5, MEMORY_DIM)).astype(np.float32)
    mask = np.arange(5) < [[5], [3]]
    return {"token_ids": token_ids, "memory": memory, "mask": mask}


@torch.inference_mode()
def last_logits(network):
    token_ids, memory, mask = (torch.tensor(x) for x in inputs().values())
    return network(token_ids, memory.double(), mask)[:, -1].numpy()


def case(name, network):
    network, end = prepared(name, network), ENDS[name]
    memory, mask = (torch.tensor(inputs()[key]) for key in ("memory", "mask"))
    rows = [
        search(network, end, m[None].double(), known[None])
        for m, known in zip(memory, mask, strict=True)
    ]
    ended = [tokens[-1] == end for row in rows for tokens, _ in row]
    if all(ended) or not any(ended):
        raise RuntimeError(f"{name}: some sequences should end, and some should not: {rows}")
    return {
        f"{name}/end_id": end,
        f"{name}/logits": last_logits(network),
        f"{name}/token_ids": np.array(
            [[[*t, *[PAD] * (LENGTH - len(t))] for t, _ in row] for row in rows], np.int32
        ),
        f"{name}/log_probs": np.array([[total for _, total in row] for row in rows]),
        f"{name}/scores": np.array([[score(found) for found in row] for row in rows]),
    }


@torch.inference_mode()
def search(network, end, memory, mask):
    """The best sequences of one row: tuples of tokens with the sum of their log-probabilities."""
    kept = [((), 0.0)]
    for _ in range(LENGTH):
        candidates = []
        for tokens, total in kept:
            if tokens[-1:] == (end,):
                candidates.append((tokens, total))
                continue
            logits = network(torch.tensor([[START, *tokens]]), memory, mask)[0, -1]
            following = enumerate(logits.log_softmax(-1).tolist())
            candidates += [((*tokens, v), total + log_prob) for v, log_prob in following]
        candidates.sort(key=score, reverse=True)
        best = [score(found) for found in candidates[: BEAMS + 1]]
        if len(best) > BEAMS and -np.diff(best).max() < SMALLEST_GAP:
            raise RuntimeError(f"candidates are too close to tell: {best}")
        kept = candidates[:BEAMS]
    return kept


def score(found):
    tokens, total = found
    return total / ((5 + len(tokens)) / 6) ** PENALTY


if __name__ == "__main__":
    main()
