"""A model's weights as its export holds them."""

import contextlib
import functools

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.encoders import Encoder
from tatl_keras.encoders.folding import inference_copy
from tatl_keras.models.artifact.folding import Folding
from tatl_keras.models.artifact.quantization import channel_axes, is_quantized, to_int8

MAX_FROZEN_BYTES = 2**31 - 2**26  # a protocol buffer ends at 2 GiB, and the graph needs some of it
_BFLOAT16 = "mixed_bfloat16"


class ExportedWeights:
    """Lets a model read its weights in the form in which an export holds them.

        with weights.applied():
            function.get_concrete_function()
        module.model_variables = weights.variables

    Whatever is traced inside `applied()` reads each Keras variable as one of

    | form | held as | read as |
    |---|---|---|
    | as it is | the model's own `tf.Variable` | itself |
    | `bfloat16` | bfloat16, weights of encoders with two dimensions or more | itself |
    | `quantize` | int8 and float32 scales, one for each output channel | integers · scales |

    and with `freeze` as constants of the graph in place of variables. With `fold`, the batch
    normalisation of encoders is part of the convolutions. With `bfloat16` the encoders compute in
    bfloat16; their outputs, and so fusion, head and softmax, are float32 as before. Outside, and
    after an exception, the model is what it was.

    Args:
        model: a `TextAssistedClassifier`. What is exported are its weights as they are now.
        freeze: bool. A server gains some speed at small batches and needs more memory; together
            with `quantize` it multiplies once, when it loads the export.
        bfloat16: bool. Processors with bfloat16 instructions are faster, others slower.
        quantize: bool, weights of two dimensions and 1024 values or more as 8-bit integers. The
            export takes a quarter of the space, and each request the time to multiply.
        fold: bool.

    Raises:
        ValueError: an option is no bool; `freeze` with more than a graph can hold, 2 GiB.
    """

    def __init__(self, model, *, freeze=False, bfloat16=False, quantize=False, fold=True):
        options = {"freeze": freeze, "bfloat16": bfloat16, "quantize": quantize, "fold": fold}
        for name, value in options.items():
            if not isinstance(value, bool):
                raise ValueError(
                    f"`{name}` must be True or False. Received: {name}={value!r}. "
                    "Each form of the weights is switched on by itself."
                )
        layers = list(model._flatten_layers())
        encoders = [layer for layer in layers if isinstance(layer, Encoder)]
        self._freeze, self._policies = freeze, []
        self._axes = channel_axes(layers) if quantize else {}
        halved = set()
        if bfloat16:
            halved = {id(variable) for encoder in encoders for variable in encoder.variables}
            self._policies = [pair for encoder in encoders for pair in _policies(encoder)]
        # Here and not when they are read: layers that compute in bfloat16 see other dtypes.
        self._own = {id(variable): (variable, variable.value) for variable in model.variables}
        self._forms = {
            key: _form(variable, quantize, key in halved)
            for key, (variable, _) in self._own.items()
        }
        self._tables = [layer for layer in layers if self._is_table(layer)]
        if freeze:
            _check_bytes(sum(_bytes(one, self._forms[id(one)]) for one in model.weights))
        self._folding = Folding(encoders if fold else [])
        self._held = {}  # id of a Keras variable → what it is held as
        self._tensors, self._values = {}, {}  # graph → id of a Keras variable → tensors, value
        self._ahead = {}  # graph → id of a Keras variable → value, for loops inside, too
        self._frozen_bytes = 0

    @property
    def variables(self):
        """The `tf.Variable`s that the traced functions read: complete after tracing."""
        parts = [part for held in self._held.values() for part in held]
        return [part for part in parts if isinstance(part, tf.Variable)]

    @contextlib.contextmanager
    def applied(self):
        """Inside, what is traced reads the exported form; eager code reads the model's own."""
        before = [(layer, layer.dtype_policy) for layer, _ in self._policies]
        try:
            for layer, policy in self._policies:
                layer.dtype_policy = policy
            for table in self._tables:
                table.call = functools.partial(self._look_up, table)
            with self._folding.applied(), _Reads(self._read):
                yield
        finally:
            for layer, policy in before:
                layer.dtype_policy = policy
            for table in self._tables:
                vars(table).pop("call", None)
            self._tensors.clear()
            self._values.clear()
            self._ahead.clear()

    def read_ahead(self, variables):
        """Reads variables here, for loops that are traced inside as well.

        Otherwise a loop reads for itself, and multiplies integers with scales in every round.

        Args:
            variables: Keras variables of the model.
        """
        values = {id(one): self._read(one) for one in variables}
        self._ahead[tf.compat.v1.get_default_graph()] = values

    def _read(self, variable):
        """The value of a variable of the model, once in each graph; `None` outside of graphs."""
        key = id(variable)
        if key not in self._own or tf.executing_eagerly():
            return None
        graph = tf.compat.v1.get_default_graph()
        values = self._values.setdefault(graph, {})
        if key not in values:
            values[key] = self._value(graph, key)
        return values[key]

    def _value(self, graph, key):
        for outer in _around(graph):
            if key in self._ahead.get(outer, {}):
                return self._ahead[outer][key]
        first, *scales = self._held_tensors(key)
        return tf.cast(first, scales[0].dtype) * scales[0] if scales else first

    def _look_up(self, table, inputs, **how):
        """As `Embedding.call`, without the product of all rows with their scales."""
        if how or tf.executing_eagerly():
            return type(table).call(table, inputs, **how)
        ids = tf.cast(inputs, tf.int32)
        parts = self._held_tensors(id(table.embeddings))
        rows, scales = (tf.gather(part, ids) for part in parts)
        return tf.cast(tf.cast(rows, scales.dtype) * scales, table.compute_dtype)

    def _is_table(self, layer):
        """Whether it is an `Embedding` of integers that does nothing but look up rows."""
        plain = type(layer) is keras.layers.Embedding or isinstance(
            layer, keras.layers.ReversibleEmbedding
        )
        return (
            plain
            and not layer.mask_zero
            and not layer.lora_enabled
            and self._forms.get(id(layer.embeddings)) == "int8"
        )

    def _held_tensors(self, key):
        """What a variable is held as, in the graph that is being traced."""
        tensors = self._tensors.setdefault(tf.compat.v1.get_default_graph(), {})
        if key not in tensors:
            if key not in self._held:
                with tf.init_scope():
                    self._held[key] = self._parts(key)
            tensors[key] = [self._tensor(part) for part in self._held[key]]
        return tensors[key]

    def _tensor(self, part):
        if isinstance(part, tf.Variable):
            return tf.convert_to_tensor(part)
        self._frozen_bytes += part.nbytes
        _check_bytes(self._frozen_bytes)
        return tf.constant(part)

    def _parts(self, key):
        """What a variable is held as: one array, or integers and scales; or its `tf.Variable`."""
        variable, own = self._own[key]
        form, value = self._forms[key], self._folding.values.get(key)
        if value is None and form == "own" and not self._freeze:
            return [own]
        if value is None:
            value = own.numpy()
        arrays = [value]
        if form == "int8":
            arrays = to_int8(value, self._axes.get(key, (value.ndim - 1,)))
        elif form == "bfloat16":
            arrays = [value.astype(tf.bfloat16.as_numpy_dtype)]
        if self._freeze:
            return list(arrays)
        return [tf.Variable(array, trainable=False, name=variable.name) for array in arrays]


class _Reads(keras.StatelessScope):
    """Keras asks such a scope for the value of each variable before it reads it."""

    def __init__(self, read):
        super().__init__()
        self._read = read

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        return self._read(variable) if value is None else value


def _around(graph):
    """The graphs in which a graph stands, the next one first."""
    found = []
    while getattr(graph, "outer_graph", None) is not None:
        graph = graph.outer_graph
        found.append(graph)
    return found


def _policies(encoder):
    """(layer, policy) as if the encoder had been made to compute in bfloat16."""
    made = inference_copy(encoder, _BFLOAT16)._flatten_layers()
    pairs = zip(encoder._flatten_layers(), made, strict=True)
    return [
        (layer, other.dtype_policy)
        for layer, other in pairs
        if layer.dtype_policy.name != other.dtype_policy.name
    ]


def _form(variable, quantize, halved):
    shape, dtype = variable.shape, variable.dtype
    if quantize and is_quantized(shape, dtype):
        return "int8"
    return "bfloat16" if halved and dtype == "float32" and len(shape) >= 2 else "own"


def _bytes(variable, form):
    size = {"int8": 1, "bfloat16": 2}.get(form) or np.dtype(variable.dtype).itemsize
    return int(np.prod(variable.shape)) * size


def _check_bytes(count):
    if count > MAX_FROZEN_BYTES:
        raise ValueError(
            f"`freeze` must be False for weights of more than {MAX_FROZEN_BYTES:,} bytes, since a "
            f"graph ends at 2 GiB. Received: freeze=True with {count:,} bytes. "
            "Leave them in variables, or export them with bfloat16 or quantize."
        )
