"""A SavedModel as it lies on the disk. It is parsed; nothing is loaded or run."""

import dataclasses
import os

from tensorflow.core.protobuf import saved_model_pb2

FILE = "saved_model.pb"
SERVE_TAG = "serve"
MAIN_GRAPH = "graph"
_INTERNAL = "__saved_model_"  # TensorFlow's own signature: initialisation
_MOST_BYTES = 2**31 - 1  # protobuf's own limit


@dataclasses.dataclass(frozen=True)
class SavedModelFiles:
    """The folder of a SavedModel and what its `saved_model.pb` says. Made by `read`.

    Args:
        directory: str, the folder.
        meta_graphs: tuple of `MetaGraphDef`.
    """

    directory: str
    meta_graphs: tuple

    def graphs(self):
        """Yields (name, nodes, protocol buffer) of each main graph and of each function."""
        for meta_graph in self.meta_graphs:
            graph = meta_graph.graph_def
            yield MAIN_GRAPH, graph.node, graph
            for function in graph.library.function:
                yield function.signature.name, function.node_def, function

    def nodes(self):
        """Yields (place, node) of all nodes; a place is "function/node"."""
        for name, nodes, _ in self.graphs():
            for node in nodes:
                yield f"{name}/{node.name}", node

    def served(self):
        """The meta graph with the tag that a server loads, or `None`."""
        found = [m for m in self.meta_graphs if list(m.meta_info_def.tags) == [SERVE_TAG]]
        return found[0] if found else None

    def signatures(self):
        """(name, `SignatureDef`) of what clients can ask, by name."""
        served = self.served()
        found = [] if served is None else served.signature_def.items()
        return sorted(pair for pair in found if not pair[0].startswith(_INTERNAL))


def read(directory):
    """Reads a SavedModel; memory is a small multiple of the size of its `saved_model.pb`.

    Args:
        directory: path of the folder with `saved_model.pb`.

    Returns:
        `SavedModelFiles`.

    Raises:
        FileNotFoundError: there is no `saved_model.pb`.
        ValueError: it is no SavedModel, or larger than protobuf allows (2 GiB).
    """
    directory = os.fspath(directory)
    path = os.path.join(directory, FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"`directory` must hold a SavedModel ({FILE}). "
            f"Received: directory={directory!r}. It is the numbered folder, as in pets/1."
        )
    size = os.path.getsize(path)
    if size > _MOST_BYTES:
        raise ValueError(_damaged(directory, size, "too large"))
    with open(path, "rb") as file:
        contents = file.read()
    try:
        message = saved_model_pb2.SavedModel.FromString(contents)
    except Exception as error:  # protobuf's DecodeError, a package that TensorFlow brings along
        raise ValueError(_damaged(directory, size, error)) from None
    return SavedModelFiles(directory, tuple(message.meta_graphs))


def _damaged(directory, size, reason):
    return (
        f"`directory` must hold a SavedModel whose {FILE} is whole. Received: "
        f"directory={directory!r}, {size} bytes that cannot be parsed ({reason}). "
        "Write or copy it again."
    )
