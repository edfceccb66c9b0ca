"""Constructor arguments of the architectures in the catalog."""


def resnet(blocks):
    """ResNet of He et al. 2016, table 1, with the stride of a bottleneck in its 3 × 3: v1.5."""
    return dict(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=blocks,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        use_pre_activation=False,
    )


def vit(num_layers, num_heads, hidden_dim, mlp_dim):
    """Vision Transformer of Dosovitskiy et al. 2021, table 1, patches of 16 pixels."""
    return dict(
        image_shape=(224, 224, 3),
        patch_size=(16, 16),
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        mlp_dim=mlp_dim,
    )


def bert(num_layers, num_heads, hidden_dim, intermediate_dim):
    """BERT of Devlin et al. 2019 with the vocabulary of the uncased English models."""
    return dict(
        vocabulary_size=30522,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=intermediate_dim,
        max_sequence_length=512,
    )


def sasa(blocks, stem, **changes):
    """Stand-alone self-attention of Ramachandran et al. 2019, table 1."""
    config = dict(
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=blocks,
        stem=stem,
        stem_filters=64,
        kernel_size=7,
        num_heads=8,
        image_shape=(224, 224, 3),
    )
    return config | changes


LITE0 = dict(
    stackwise_width_coefficients=[1.0] * 7,
    stackwise_depth_coefficients=[1.0] * 7,
    stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
    stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
    stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
    stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
    stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
    stackwise_squeeze_and_excite_ratios=[0] * 7,
    stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
    stackwise_block_types=["v1"] + ["unfused"] * 6,
    dropout=0,
    min_depth=None,
    activation="relu6",
    include_stem_padding=False,
    use_depth_divisor_as_min_depth=True,
    cap_round_filter_decrease=True,
    stem_conv_padding="same",
    batch_norm_momentum=0.99,
    batch_norm_epsilon=0.001,
)

# 32 × 32 pixels become 4 × 4 positions of 24 channels.
TEST_IMAGE = dict(
    stackwise_width_coefficients=[1.0] * 2,
    stackwise_depth_coefficients=[1.0] * 2,
    stackwise_kernel_sizes=[3, 3],
    stackwise_num_repeats=[1, 2],
    stackwise_input_filters=[8, 8],
    stackwise_output_filters=[8, 16],
    stackwise_expansion_ratios=[1, 2],
    stackwise_squeeze_and_excite_ratios=[0, 0],
    stackwise_strides=[2, 2],
    stackwise_block_types=["v1", "unfused"],
    dropout=0.2,
    include_stem_padding=False,
    stem_conv_padding="same",
    num_features=24,
)

TEST_VIT = dict(
    image_shape=(32, 32, 3),
    patch_size=(8, 8),
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    mlp_dim=32,
    dropout_rate=0.1,
)

# 32 × 32 pixels become 4 × 4 positions of 64 channels.
TEST_SASA = dict(
    stackwise_num_filters=[8, 16],
    stem_filters=8,
    kernel_size=3,
    num_heads=2,
    image_shape=(32, 32, 3),
)

TEST_TEXT = dict(
    vocabulary_size=1024,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=32,
    max_sequence_length=64,
)

TEST_CLIP = dict(num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, projection_dim=12)

TEST_SIGLIP = dict(num_layers=2, num_heads=2, hidden_dim=12, intermediate_dim=32)
