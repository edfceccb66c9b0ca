"""Gives KerasHub's backbones the weights that `equal_weights.py` draws by PyTorch's names."""

import numpy as np

from tests.goldens import equal_weights


class Weights:
    """Hands parameters with PyTorch's names and layouts to Keras's variables."""

    def __init__(self, model):
        self._left = {id(variable): variable.path for variable in model.weights}

    @property
    def left(self):
        """Paths of the variables that nothing was given to."""
        return list(self._left.values())

    def give(self, variable, name, shape=None, order=None):
        """Draws `name` of PyTorch's `shape`; transposed by `order`, then in Keras's shape."""
        values = equal_weights.drawn(name, tuple(variable.shape if shape is None else shape))
        self.set(variable, values if order is None else values.transpose(order))

    def set(self, variable, values):
        variable.assign(values.reshape(variable.shape))
        del self._left[id(variable)]

    def dense(self, layer, name):
        """A matrix and its offsets; heads are a split of the outputs, or of the inputs."""
        inputs, outputs = layer.kernel.shape[0], layer.bias.shape
        self.give(layer.bias, f"{name}.bias", [np.prod(outputs)])
        if len(layer.kernel.shape) == 3 and len(outputs) == 1:
            inputs = np.prod(layer.kernel.shape[:2])
        self.give(layer.kernel, f"{name}.weight", [np.prod(outputs), inputs], (1, 0))

    def convolution(self, layer, name):
        rows, columns, inputs, outputs = layer.kernel.shape
        self.give(layer.kernel, f"{name}.weight", (outputs, inputs, rows, columns), (2, 3, 1, 0))

    def normalisation(self, layer, name):
        self.give(layer.gamma, f"{name}.weight")
        self.give(layer.beta, f"{name}.bias")
        if hasattr(layer, "moving_mean"):
            self.give(layer.moving_mean, f"{name}.running_mean")
            self.give(layer.moving_variance, f"{name}.running_var")


def fill_resnet(backbone):
    weights = Weights(backbone)
    weights.convolution(backbone.get_layer("conv1_conv"), "conv1")
    weights.normalisation(backbone.get_layer("conv1_bn"), "bn1")
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            ours, theirs = f"stack{stage}_block{block}", f"layer{stage + 1}.{block}"
            for number in range(0 if block == 0 else 1, 4):
                names = ("downsample.0", "downsample.1") if not number else (
                    f"conv{number}", f"bn{number}"
                )  # fmt: skip
                layers = [backbone.get_layer(f"{ours}_{number}_{kind}") for kind in ("conv", "bn")]
                weights.convolution(layers[0], f"{theirs}.{names[0]}")
                weights.normalisation(layers[1], f"{theirs}.{names[1]}")
    return weights


def fill_vit(backbone):
    weights = Weights(backbone)
    embedding = backbone.get_layer("vit_patching_and_embedding")
    weights.give(embedding.class_token, "class_token")
    weights.give(embedding.position_embedding.embeddings, "encoder.pos_embedding", (1, 197, 768))
    weights.convolution(embedding.patch_embedding, "conv_proj")
    weights.give(embedding.patch_embedding.bias, "conv_proj.bias")
    encoder = backbone.get_layer("vit_encoder")
    for number, block in enumerate(encoder.encoder_layers):
        name = f"encoder.layers.encoder_layer_{number}"
        weights.normalisation(block.layer_norm_1, f"{name}.ln_1")
        weights.normalisation(block.layer_norm_2, f"{name}.ln_2")
        kernel = equal_weights.drawn(f"{name}.self_attention.in_proj_weight", (3 * 768, 768))
        bias = equal_weights.drawn(f"{name}.self_attention.in_proj_bias", (3 * 768,))
        for place, part in enumerate(("query", "key", "value")):
            layer = getattr(block.mha, f"{part}_dense")
            rows = slice(768 * place, 768 * (place + 1))
            weights.set(layer.kernel, kernel[rows].T)
            weights.set(layer.bias, bias[rows])
        weights.dense(block.mha.output_dense, f"{name}.self_attention.out_proj")
        weights.dense(block.mlp.dense_1, f"{name}.mlp.0")
        weights.dense(block.mlp.dense_2, f"{name}.mlp.3")
    weights.normalisation(encoder.layer_norm, "encoder.ln")
    return weights


def fill_bert(backbone):
    weights = Weights(backbone)
    tables = {
        "word": backbone.token_embedding.embeddings,
        "position": backbone.position_embedding.position_embeddings,
        "token_type": backbone.segment_embedding.embeddings,
    }
    for name, table in tables.items():
        weights.give(table, f"embeddings.{name}_embeddings.weight")
    weights.normalisation(backbone.embeddings_layer_norm, "embeddings.LayerNorm")
    for number, block in enumerate(backbone.transformer_layers):
        name = f"encoder.layer.{number}"
        attention = block._self_attention_layer
        for part in ("query", "key", "value"):
            weights.dense(getattr(attention, f"{part}_dense"), f"{name}.attention.self.{part}")
        weights.dense(attention.output_dense, f"{name}.attention.output.dense")
        weights.dense(block._feedforward_intermediate_dense, f"{name}.intermediate.dense")
        weights.dense(block._feedforward_output_dense, f"{name}.output.dense")
        weights.normalisation(
            block._self_attention_layer_norm, f"{name}.attention.output.LayerNorm"
        )
        weights.normalisation(block._feedforward_layer_norm, f"{name}.output.LayerNorm")
    return weights
