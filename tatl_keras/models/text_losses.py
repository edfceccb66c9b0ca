"""What text teaches a head on pictures: three losses, each with a weight for every row."""

import keras
from keras import ops

_COSINE_SCALE = 1 / 0.07  # of cosines in the contrastive loss
_CLASS_SCALE = 10.0  # of cosines between class texts


def distillation_loss(student, teacher, weights, temperature):
    """Cross-entropy from a teacher's softened probabilities to a student's.

        q = softmax(teacher / temperature)       no gradient
        p = softmax(student / temperature)
        loss = 1/B sum_i weights_i temperature² sum_c q_ic (log q_ic - log p_ic)

    The factor temperature² keeps the gradient's size whatever the temperature is.

    Shape letters: B batch, C classes.

    Args:
        student, teacher: logits (B, C).
        weights: floats (B,), 0 for a row that lacks text or picture.
        temperature: float greater than zero.

    Returns:
        A float32 scalar.

    Reference: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network",
    section 2, https://arxiv.org/abs/1503.02531.
    """
    teacher = ops.stop_gradient(ops.cast(teacher, "float32")) / temperature
    student = ops.cast(student, "float32") / temperature
    wanted = ops.log_softmax(teacher)
    apart = ops.sum(ops.exp(wanted) * (wanted - ops.log_softmax(student)), axis=-1)
    return temperature**2 * ops.mean(weights * apart)


def contrastive_loss(images, texts, weights):
    """InfoNCE both ways: each text finds its picture among the batch's, and each picture its text.

        s_ij = cos(image_i, text_j) / 0.07
        loss = 1/B sum_i weights_i (-log softmax_j(s_ij)_i - log softmax_j(s_ji)_i) / 2

    Rows of weight 0 are neither asked nor among the answers. One row alone costs nothing.

    Shape letters: B batch, D channels.

    Args:
        images, texts: floats (B, D), vectors in one space.
        weights: floats (B,), 0 for a row that lacks text or picture.

    Returns:
        A float32 scalar.

    Reference: Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning",
    section 3.1, https://arxiv.org/abs/2111.07991.
    """
    scores = _COSINE_SCALE * ops.matmul(unit(images), ops.transpose(unit(texts)))
    present = ops.cast(weights > 0, "float32")
    hidden = -1e9 * (1 - present)
    right = ops.diagonal(scores)
    found = [
        ops.logsumexp(one_way + hidden[None, :], axis=-1) - right
        for one_way in (scores, ops.transpose(scores))
    ]
    return ops.mean(weights * (found[0] + found[1]) / 2)


def class_similarity_loss(logits, labels, class_embeddings, weights):
    """Cross-entropy to targets that give classes with texts like the right one's their share.

        q_yc = softmax_c(10 cos(n_y, n_c))       n_c is the embedding of class c's texts
        loss = 1/B sum_i weights_i sum_c -q_{y_i c} log softmax(logits_i)_c

    Shape letters: B batch, C classes, D channels.

    Args:
        logits: floats (B, C).
        labels: one-hot floats (B, C).
        class_embeddings: floats (C, D).
        weights: floats (B,), 0 for a row without picture.

    Returns:
        A float32 scalar.

    Reference: Frome et al. 2013, "DeViSE: A Deep Visual-Semantic Embedding Model", section 3, whose
    ranking loss asks the same of pictures: to be nearer to their class's word than to the others.
    """
    units = unit(class_embeddings)
    targets = ops.softmax(_CLASS_SCALE * ops.matmul(units, ops.transpose(units)))
    logs = ops.log_softmax(ops.cast(logits, "float32"))
    return ops.mean(weights * -ops.sum(ops.matmul(labels, targets) * logs, axis=-1))


def label_loss(logits, labels, weights):
    """1/B sum_i weights_i cross-entropy(softmax(logits_i), labels_i), labels one-hot (B, C)."""
    logs = ops.log_softmax(ops.cast(logits, "float32"))
    return ops.mean(weights * -ops.sum(labels * logs, axis=-1))


def unit(vectors):
    """Vectors (…, D) divided by their lengths, float32; a zero vector stays zero."""
    vectors = ops.cast(vectors, "float32")
    square = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(square, keras.config.epsilon() ** 2))
