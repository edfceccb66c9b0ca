"""Proof: which sizes of pictures and lengths of texts an entry takes."""

import math

from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.training.proofs.subject import ProofError, behind, encoders_of

TRIED = ((64, 96), (160, 128))
LENGTHS = (8, 64)


def prove(subject):
    """Finds out which sizes the encoders take, by shapes alone.

    A picture's size is free, fixed, or chosen when the model is built (`image_size=`). Free ones
    are tried at two sizes, fixed ones must refuse them; a text one token too long must be refused,
    to be read as well as to be written.

    Returns:
        A dict with `result`, `bound` and `facts`.

    Raises:
        ProofError: a size that should be taken is refused, or the other way round.
    """
    facts = subject.ask_weightless(lambda model: _sizes(model, subject.spec))
    words = []
    if "image" in facts:
        height, width = facts["image"]["default"]
        words.append(f"pictures {height} × {width}, {facts['image']['size']}")
    if "text" in facts:
        most = facts["text"]["most"]
        limit = "of any length" if most is None else f"up to {most} tokens"
        words.append(f"texts of {facts['text']['default']} tokens, {limit}")
    if "written" in facts:
        most = facts["written"]["most"]
        limit = "of any length" if most is None else f"up to {most} tokens"
        words.append(f"writes texts of {facts['written']['default']} tokens, {limit}")
    return {"result": "; ".join(words), "bound": "by shapes, tried", "facts": facts}


def _sizes(model, spec):
    facts = {}
    encoders = encoders_of(model)
    if "image" in encoders:
        default = model.preprocessor.image_size
        kind = _image_size(encoders["image"], spec.image)
        facts["image"] = {"default": list(default), "size": kind}
    if "text" in encoders:
        encoder, default = encoders["text"], model.preprocessor.sequence_length
        most = encoder.max_sequence_length
        _check_lengths("text encoder", most, lambda length: _text_shape(encoder, length))
        facts["text"] = {"default": default, "most": most}
    decoder = behind(model).get("decoder")
    if decoder is not None:
        (encoder,) = model.encoders.values()
        memory, most = (1, 4, encoder.output_dim), decoder.max_length
        _check_lengths(
            "decoder", most, lambda length: decoder.compute_output_shape((1, length), memory)
        )
        facts["written"] = {"default": model.check_length(), "most": most}
    return facts


def _check_lengths(part, most, shape_of):
    """Raises where texts of at most `most` tokens are refused, or one that is longer is not."""
    for length in (*LENGTHS, most):
        if length is not None and (most is None or length <= most):
            shape_of(length)
    if most is not None and not _refuses(lambda: shape_of(most + 1)):
        raise ProofError(f"the {part} should refuse {most + 1} tokens, and takes them")


def _image_size(encoder, name):
    """ "free", "fixed" or "chosen when the model is built"."""
    if encoder.image_size is None:
        for size in TRIED:
            tokens = encoder.compute_output_shape((1, *size, 3))["tokens"][1]
            if not tokens or tokens >= math.prod(size):
                raise ProofError(f"pictures of {size} give {tokens} tokens")
        return "or any other size"
    for size in TRIED:
        if size != encoder.image_size and not _refuses(
            lambda size=size: encoder.compute_output_shape((1, *size, 3))
        ):
            raise ProofError(f"the image encoder should refuse pictures of {size}, and takes them")
    learned = name in ARCHITECTURES and ARCHITECTURES[name].learned
    return "or what the model is built for" if learned else "no other size"


def _text_shape(encoder, length):
    return encoder.compute_output_shape(dict.fromkeys(("token_ids", "padding_mask"), (1, length)))


def _refuses(call):
    """Whether a call ends with a ValueError."""
    try:
        call()
    except ValueError:
        return True
    return False
