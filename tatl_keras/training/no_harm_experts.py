"""The linear experts of a no-harm model, solved one by one."""

import numpy as np

from tatl_keras.fusion import NoHarmFusion


def joint_fusion(model):
    """The fusion whose vector the joint head reads: of a `NoHarmFusion` the inner one."""
    return model.fusion.fusion if isinstance(model.fusion, NoHarmFusion) else model.fusion


def load_experts(head, rows, joint, image, text):
    """Writes solved heads into a `NoHarmHead`.

    The class prior is that of the rows, smoothed by one more of each class: what the experts'
    probabilities have in them.

    Args:
        head: a `NoHarmHead`.
        rows: `HeadRows` of the inner fusion.
        joint, image, text: pairs of kernel and bias, each for image and text side by side.
    """
    if rows.moments is None:
        weights = np.bincount(rows.labels, rows.weights, rows.num_classes)
    else:
        weights = rows.moments.y
    counts = weights * rows.total / weights.sum() + 1
    places = {
        "joint": slice(None),
        "image": slice(rows.image_dim),
        "text": slice(rows.image_dim, None),
    }
    for name, (kernel, bias) in (("joint", joint), ("image", image), ("text", text)):
        getattr(head, name).set_weights([kernel[places[name]], bias])
    head.prior.assign(np.log(counts / counts.sum()))
