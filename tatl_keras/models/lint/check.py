"""The rules together, and what they find."""

import dataclasses

from tatl_keras.models.lint import file_rules, graph_rules, signature_rules
from tatl_keras.models.lint.saved_model import read

ERROR, ADVICE = "error", "advice"

# Each rule is a function from `SavedModelFiles` to pairs (place, message).
RULES = {
    "unknown_op": (ERROR, graph_rules.unknown_ops),
    "python_function": (ERROR, graph_rules.python_functions),
    "growing_table": (ERROR, graph_rules.growing_tables),
    "absolute_path": (ERROR, graph_rules.absolute_paths),
    "leaked_path": (ADVICE, graph_rules.leaked_paths),
    "device": (ERROR, graph_rules.devices),
    "xla": (ERROR, graph_rules.xla),
    "signature": (ERROR, signature_rules.signatures),
    "rows": (ERROR, signature_rules.rows),
    "dtype": (ERROR, signature_rules.dtypes),
    "bytes_name": (ADVICE, signature_rules.bytes_names),
    "checksum": (ERROR, file_rules.checksums),
    "warm_up": (ADVICE, file_rules.warm_up),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something in a SavedModel that a server would stumble over.

    Args:
        rule: str, one of the rules of `lint`.
        message: str, what is wrong and what to do.
        where: str, the node as "function/node", the signature, or the file.
        severity: "error", or "advice" for what can be served as it is.

    Example:

    >>> print(Finding("warm_up", "There are no warm-up requests.", "assets.extra", "advice"))
    advice: warm_up: assets.extra: There are no warm-up requests.
    """

    rule: str
    message: str
    where: str
    severity: str = ERROR

    @property
    def is_error(self):
        """Whether a server cannot live with it."""
        return self.severity == ERROR

    def __str__(self):
        return f"{self.severity}: {self.rule}: {self.where}: {self.message}"


def lint(directory):
    """What keeps a stock TensorFlow Serving 2.20 from serving a SavedModel, also a foreign one.

    Only files are read, by protobuf: nothing of the model is loaded or run, and its variables are
    not touched but for their checksums. All graphs and all functions count, also those that no
    signature reaches, since the server reads the whole file.

    | rule | severity | what is found |
    |---|---|---|
    | `unknown_op` | error | an op that the server does not know (`ops_2_20.txt`) |
    | `python_function` | error | `tf.py_function` and its like: their code is not in the files |
    | `growing_table` | error | a table to which requests add; tables that are filled once pass |
    | `absolute_path` | error | a file that is read by a path of the exporting machine |
    | `leaked_path` | advice | such a path in the name of a table |
    | `device` | error | a node tied to a device that not every server has |
    | `xla` | error | `jit_compile=True`, or an op of XLA: the server has XLA switched off |
    | `signature` | error | no "serve" graph, no `serving_default`, an optional input |
    | `rows` | error | an input or output whose first dimension is not the batch |
    | `dtype` | error | what JSON cannot carry, `_bytes` inputs that are no strings |
    | `bytes_name` | advice | a string output `*_bytes`: REST answers base64 |
    | `checksum` | error | a file that is not as the "sha256" of `MANIFEST.json` says |
    | `warm_up` | advice | no warm-up requests: the first requests are slow |

    Paths are looked for in assets, in constants that go into ops that read or write files, and in
    names of tables. Other constants may look like paths and be words.

    Args:
        directory: the folder with `saved_model.pb`.

    Returns:
        A list of `Finding`, errors first; empty where there is nothing to say.

    Raises:
        FileNotFoundError: there is no `saved_model.pb`.
        ValueError: it is damaged.

    Example:

    >>> import tempfile, tensorflow as tf
    >>> from tatl_keras import serving
    >>> directory = tempfile.mkdtemp()
    >>> tf.saved_model.save(tf.Module(), directory)
    >>> [(finding.rule, finding.severity) for finding in serving.lint(directory)]
    [('signature', 'error'), ('warm_up', 'advice')]
    """
    files = read(directory)
    found = [
        Finding(rule, message, where, severity)
        for rule, (severity, look) in RULES.items()
        for where, message in look(files)
    ]
    return sorted(found, key=lambda finding: not finding.is_error)
