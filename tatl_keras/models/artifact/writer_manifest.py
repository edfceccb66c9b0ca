"""What an exported model that writes was made with, beside the SavedModel."""

from tatl_keras.features import keys
from tatl_keras.models.artifact.manifest import (
    described_encoders,
    encoders,
    layer,
    preprocessing,
    reading_limits,
    write_facts,
)


def write_writer_manifest(directory, model, *, sampler, max_length, max_pixels, **given):
    """Writes `MANIFEST.json` as `manifest.write_manifest` does, with other facts of the model:

        model                          class, encoders, decoder
        preprocessing                  of the source, and "target": how texts are cut into pieces
        limits                         max_length, and of the source max_pixels, or sequence_length
                                       and max_characters
        sampler                        class and arguments of what chose the words

    Args:
        directory: the folder with `saved_model.pb`.
        model: the `TextGenerator` that was exported.
        sampler: the sampler.
        max_length: int, most tokens of a text.
        max_pixels: int, pixels of the largest picture that is decoded.
        **given: `options`, `training_config`, `metrics`, see `manifest.write_facts`.

    Raises:
        ValueError: see `manifest.write_manifest`.
    """
    described = described_encoders(model)
    target = keys.describe_preprocessing("text", model.target_preprocessor)
    facts = {
        "model": {
            "class": type(model).__name__,
            "encoders": encoders(described),
            "decoder": layer(model.decoder),
        },
        "preprocessing": preprocessing(described) | {"target": target},
        "limits": {"max_length": max_length} | reading_limits(model, max_pixels),
        "sampler": layer(sampler),
    }
    write_facts(directory, facts, **given)
