"""How many parameters a decoder has, by its equations."""

from tatl_keras.models import LSTMDecoder, TransformerDecoder


def decoder_parameters(decoder, memory_dim):
    """The parameters of a decoder, worked out from its sizes alone.

    With V tokens, D = `hidden_dim`, Dm channels of the memory and P = `max_length`:

        TransformerDecoder, N layers of I = `intermediate_dim`
            E and P           V D + P D
            norm(memory) W_M  2 Dm + Dm D
            a block           8 D² of two attentions, 6 D of three norms, 2 I D + I + D
            norm(X_N)         2 D

        LSTMDecoder, De = `embedding_dim`, A = `attention_dim`
            E, L_o and b_o    V De + V De + V
            LSTM              4 D (De + Dm + D + 1)
            h_0 and c_0       2 D (Dm + 1)
            W_m, W_h, b, w    A (Dm + D + 1 + 1)
            β                 D + 1
            L_h, b_h, L_z     De (D + 1 + Dm)

    Args:
        decoder: a `models.Decoder`.
        memory_dim: int, Dm.

    Returns:
        int, or `None` for a decoder of another kind.

    Example:

    >>> decoder = LSTMDecoder(2, hidden_dim=1, embedding_dim=1, attention_dim=1)
    >>> decoder_parameters(decoder, 1)  # 6 + 16 + 4 + 4 + 2 + 3
    35
    """
    tokens, hidden = decoder.vocabulary_size, decoder.hidden_dim
    if isinstance(decoder, TransformerDecoder):
        inside = decoder.intermediate_dim or 4 * hidden
        block = 8 * hidden**2 + 6 * hidden + 2 * inside * hidden + inside + hidden
        tables = (tokens + decoder.max_length) * hidden
        return tables + memory_dim * (2 + hidden) + decoder.num_layers * block + 2 * hidden
    if isinstance(decoder, LSTMDecoder):
        embedded, attended = decoder.embedding_dim, decoder.attention_dim
        tables = tokens * (2 * embedded + 1)
        cell = 4 * hidden * (embedded + memory_dim + hidden + 1) + 2 * hidden * (memory_dim + 1)
        attention = attended * (memory_dim + hidden + 2) + hidden + 1
        return tables + cell + attention + embedded * (hidden + 1 + memory_dim)
    return None
