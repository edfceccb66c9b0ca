"""What TensorBoard's plugins read, written without the `tensorboard` package."""

import contextlib
import glob
import os
import struct

import tensorflow as tf

_SUFFIX = ".boards"


def write_summary(tag, tensor, step, plugin, content=b"", description=""):
    """Writes a tensor for one of TensorBoard's plugins to the default writer.

    `tf.summary.scalar` and its kind need the `tensorboard` package; what they write does not.

    Args:
        tag: str, what it is called there.
        tensor: the value, as the plugin wants it.
        step: int.
        plugin: str, such as "scalars".
        content: bytes, the plugin's own settings for this tag, a serialised message.
        description: str, Markdown.
    """
    data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=data, summary_description=description)
    tf.summary.write(tag, tensor, step, metadata)


def write_picture(tag, png, step, description=""):
    """Writes the bytes of a PNG file for the plugin `images`: width, height, file."""
    size = struct.unpack(">II", png[16:24])
    tensor = tf.constant([*(f"{length}".encode() for length in size), png])
    write_summary(tag, tensor, step, "images", description=description)


def write_curve(tag, counts, step, description=""):
    """Writes what `precision_recall` counts for the plugin `pr_curves`."""
    thresholds = counts.shape[1]
    low, high = thresholds % 128, thresholds // 128  # a varint of two bytes
    content = bytes([0x10, low | 0x80, high])  # field 2, num_thresholds; field 1, version, is 0
    write_summary(tag, tf.constant(counts, tf.float32), step, "pr_curves", content, description)


@contextlib.contextmanager
def only_events(folder):
    """A default writer into a folder, in which what an earlier one wrote is removed."""
    for path in glob.glob(os.path.join(glob.escape(folder), f"events.out.tfevents.*{_SUFFIX}")):
        os.unlink(path)
    writer = tf.summary.create_file_writer(folder, filename_suffix=_SUFFIX)
    try:
        with writer.as_default():
            yield
    finally:
        writer.close()
