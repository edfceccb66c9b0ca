"""Rules of nodes: ops, Python functions, tables, paths, devices, XLA."""

import functools
import importlib.resources
import re

OPS_FILE = "ops_2_20.txt"
PYTHON_FUNCTIONS = frozenset({"EagerPyFunc", "NumpyFunction", "PyFunc", "PyFuncStateless"})
_INSERTIONS = frozenset({"LookupTableInsert", "LookupTableInsertV2"})
_XLA_OP = re.compile(r"_?Xla|(AssignVariable|ReadVariable)Xla")
_XLA_ATTRIBUTE = "_XlaMustCompile"
# Every server has these; TensorFlow ties what saves and restores variables to them.
_IN_EVERY_SERVER = re.compile(
    r"(/job:localhost)?(/replica:0)?(/task:0)?(/device:CPU:(0|\*)|/cpu:0)?", re.IGNORECASE
)
# Ops → the inputs that name files.
_FILE_INPUTS = {
    "FixedLengthRecordDataset": (0,),
    "FixedLengthRecordDatasetV2": (0,),
    "InitializeTableFromTextFile": (1,),
    "InitializeTableFromTextFileV2": (1,),
    "LoadDataset": (0,),
    "MatchingFiles": (0,),
    "MergeV2Checkpoints": (0, 1),
    "ReadFile": (0,),
    "Restore": (0,),
    "RestoreSlice": (0,),
    "RestoreV2": (0,),
    "Save": (0,),
    "SaveV2": (0,),
    "ShardedFilename": (0,),
    "TFRecordDataset": (0,),
    "TFRecordDatasetV2": (0,),
    "TextLineDataset": (0,),
    "WriteFile": (0,),
}
_PASSED_ON = frozenset({"Identity", "Pack", "Reshape", "ExpandDims"})
_ABSOLUTE = re.compile(r"/[^/]|[A-Za-z]:[\\/]|[a-z][a-z0-9]*://")
# TensorFlow names a table after its file: "hash_table_/home/me/vocabulary.txt_-2_-1".
_IN_TABLE_NAME = re.compile(r"(?:^|_)(/[^/]+/.*|[A-Za-z]:[\\/].*)")


@functools.cache
def served_ops():
    """Names of the ops that TensorFlow Serving 2.20 knows, a frozen set of str."""
    text = importlib.resources.files(__package__).joinpath(OPS_FILE).read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def unknown_ops(files):
    functions = {name for name, _, _ in files.graphs()}
    known = served_ops() | functions | PYTHON_FUNCTIONS
    nodes = ((node.op, place) for place, node in files.nodes())
    for op, place, times in _grouped(pair for pair in nodes if not _is_known(pair[0], known)):
        message = (
            f"The op {op!r} ({times}×) is not known to TensorFlow Serving 2.20. Use another, "
            "or a server with this op."
        )
        yield place, message


def _is_known(op, known):
    return op in known or _XLA_OP.match(op)


def python_functions(files):
    nodes = ((n.op, place) for place, n in files.nodes() if n.op in PYTHON_FUNCTIONS)
    for op, place, times in _grouped(nodes):
        message = (
            f"{op} ({times}×) calls Python code that is not in the files. Write what it does "
            "with TensorFlow's ops."
        )
        yield place, message


def growing_tables(files):
    nodes = ((n.op, place) for place, n in files.nodes() if n.op in _INSERTIONS)
    for op, place, times in _grouped(nodes):
        message = (
            f"{op} ({times}×) adds to a table with each request, so the server's memory "
            "grows. Use a table that is filled once (KerasHub: a WordPiece or SentencePiece "
            "tokenizer, not BytePair)."
        )
        yield place, message


def absolute_paths(files):
    for meta_graph in files.meta_graphs:
        for asset in meta_graph.asset_file_def:
            if _ABSOLUTE.match(asset.filename) or ".." in asset.filename.split("/"):
                yield "assets", _path_message(asset.filename, "An asset")
    for name, nodes, _ in files.graphs():
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            for path in _constant_files(node, by_name):
                if _ABSOLUTE.match(path):
                    yield f"{name}/{node.name}", _path_message(path, node.op)


def _path_message(path, what):
    return f"{what} goes to {path!r}, which is not in the model's folder. Make it an asset."


def _constant_files(node, by_name):
    """The constant strings that name files for this node, within its graph or function."""
    for place in _FILE_INPUTS.get(node.op, ()):
        if place < len(node.input):
            yield from _constants(node.input[place], by_name, depth=8)


def _constants(source, by_name, depth):
    node = by_name.get(source.lstrip("^").split(":")[0])
    if node is None or depth == 0:
        return
    if node.op == "Const":
        for value in node.attr["value"].tensor.string_val:
            yield value.decode("utf-8", "replace")
    elif node.op in _PASSED_ON:
        for further in node.input:
            yield from _constants(further, by_name, depth - 1)


def leaked_paths(files):
    names = (
        (found.group(1), place)
        for place, node in files.nodes()
        if "Table" in node.op
        and "shared_name" in node.attr
        and (found := _IN_TABLE_NAME.search(node.attr["shared_name"].s.decode("utf-8", "replace")))
    )
    for path, place, _ in _grouped(names):
        message = (
            f"A table's name tells a path of the machine that exported it: {path!r}. Fill the "
            "table from a constant."
        )
        yield place, message


def devices(files):
    pins = (
        (node.device, place)
        for place, node in files.nodes()
        if node.device and not _IN_EVERY_SERVER.fullmatch(node.device)
    )
    for device, place, times in _grouped(pins):
        message = (
            f"{times} node(s) are tied to {device!r}, which a server may not have. Export "
            "without `tf.device`."
        )
        yield place, message


def xla(files):
    for name, nodes, graph in files.graphs():
        if _must_compile(graph):
            yield name, _xla_message("The function is")
        for node in nodes:
            if _must_compile(node):
                yield f"{name}/{node.name}", _xla_message("The call is")
            elif _XLA_OP.match(node.op):
                yield f"{name}/{node.name}", _xla_message(f"{node.op} has to be")


def _must_compile(part):
    """Of a node, a function or a main graph; the last has no attributes."""
    attributes = getattr(part, "attr", {})  # looking up what is not there would add it
    return _XLA_ATTRIBUTE in attributes and attributes[_XLA_ATTRIBUTE].b


def _xla_message(what):
    return f"{what} compiled by XLA, which the server has switched off. Export without jit_compile."


def _grouped(pairs):
    """(key, first place, how many) of pairs (key, place), by key."""
    first, times = {}, {}
    for key, place in pairs:
        first.setdefault(key, place)
        times[key] = times.get(key, 0) + 1
    return [(key, first[key], times[key]) for key in sorted(first)]
