"""tatl-client: asks a model on a TensorFlow Serving.

    tatl-client --server=localhost:8500 --model=pets cat.jpg --text="sleeps on a keyboard"
    tatl-client --server=localhost:8500 --model=pets --data=new.csv --output=answers.jsonl
    tatl-client --server=localhost:8500 --model=pets --data=test.csv --compare=stable,canary
    tatl-client --drift=answers-of-may.jsonl --output=answers.jsonl --max_drift=0.1

Pictures and texts come from the command line or from --data. Each gives one line of JSON, in their
order: id, label, probability, valid, evidence (what the model could read of it) and probabilities,
or an error, which makes the exit status 1. With --resume, lines that --output has are not asked for
again. Requests are repeated only while the server is unavailable.

--compare asks two versions, or labels of versions, about the same examples, in turn, and holds them
all in memory; by the labels of --data (--label_column=none: there are none) it tells who is right
more often. --drift compares --output, asked for now or earlier, with older answers. Beyond
--min_same or --max_drift the exit status is 1. --smoke starts a server of its own on this machine.
"""

import contextlib
import itertools
import json
import os
import sys

import tqdm
from absl import app, flags

import tatl_keras
from tatl_keras.bin import asking, common, data_flags, records, smoke_server

_SERVER = flags.DEFINE_string("server", None, "Where the server is: host:port.")
for _name in ("model", "output", "overwrite", "batch_size"):
    flags.declare_key_flag(_name)
flags.adopt_module_key_flags(data_flags)
flags.declare_key_flag("text")
_PROTOCOL = flags.DEFINE_enum(
    "protocol", "grpc", ["grpc", "rest"], "gRPC (port 8500) or REST (port 8501)."
)
_VERSION = flags.DEFINE_string("served", None, "Version, or label of one. Default: the newest.")
_TIMEOUT = flags.DEFINE_float(
    "timeout", 60.0, "Seconds for a request with its repetitions.", lower_bound=1e-3
)
_RETRIES = flags.DEFINE_integer("max_retries", 4, "How often a request is repeated.", lower_bound=0)
_BYTES = flags.DEFINE_integer(
    "max_message_bytes", 64 << 20, "Largest request.", lower_bound=1 << 13
)
_IN_FLIGHT = flags.DEFINE_integer("in_flight", 4, "Requests under way at once.", lower_bound=1)
_TLS = flags.DEFINE_bool("tls", False, "Ask over TLS.")
_ROOTS = flags.DEFINE_string("root_certificates", None, "PEM file, instead of the system's.")
_KEY = flags.DEFINE_string("private_key", None, "PEM file of the client's own key.")
_CHAIN = flags.DEFINE_string("certificate_chain", None, "PEM file of the client's certificate.")
_HEADER = flags.DEFINE_multi_string("header", [], "name:value, sent with each request.")
_RESUME = flags.DEFINE_bool("resume", False, "Go on where an earlier run stopped writing --output.")
_COMPARE = flags.DEFINE_list("compare", [], "Two versions, or labels of versions, to compare.")
_SAME = flags.DEFINE_float("min_same", None, "Least share of equal labels in --compare.")
_DRIFT = flags.DEFINE_string("drift", None, "Earlier answers (.jsonl) to compare --output with.")
_MAX_DRIFT = flags.DEFINE_float("max_drift", None, "Largest total variation of labels in --drift.")
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "The model's name on the server.",
    "data": "Manifest, folder or tfds:NAME; labels are read by --compare only.",
    "output": "File (.jsonl) to write to instead of the screen.",
    "batch_size": "Most examples in one request.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Asks, compares or measures drift; the status is 1 for errors and beyond thresholds."""
    _check_flags(arguments)
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            address, model, asked = smoke_server.start(stack)
        else:
            address, model = _SERVER.value, common.MODEL.value
            asked = asking.load(arguments, labelled=bool(_COMPARE.value))

        def connect(served=None):
            return stack.enter_context(_client(address, model, served))

        if _COMPARE.value:
            return _compare(*map(connect, _COMPARE.value), asked)
        status = 0
        if asked is not None:
            status = _ask(connect(_VERSION.value), asked)
    return max(status, _drift() if _DRIFT.value else 0)


def _check_flags(pictures):
    texts, data = flags.FLAGS.text, data_flags.DATA.value
    if _COMPARE.value and len(_COMPARE.value) != 2:
        raise app.UsageError(f"--compare must name two versions. Received: {_COMPARE.value}")
    if _DRIFT.value and (common.OUTPUT.value is None or _COMPARE.value):
        raise app.UsageError("--drift must have --output beside it, and no --compare.")
    if _RESUME.value and (common.OUTPUT.value is None or common.OVERWRITE.value):
        raise app.UsageError("--resume must have --output beside it, and no --overwrite.")
    if data and (pictures or texts):
        raise app.UsageError(
            "examples must come from --data or from the command line, not both. "
            f"Received: --data={data} and {(pictures + texts)[0]!r}"
        )
    if pictures and texts and len(pictures) != len(texts):
        raise app.UsageError(
            "--text must be given once for each picture, or not at all. "
            f"Received: {len(pictures)} pictures, {len(texts)} texts"
        )
    asks = bool(data or pictures or texts)
    if not common.SMOKE.value and (asks or not _DRIFT.value):
        common.required(_SERVER, common.MODEL)
        if not asks:
            raise app.UsageError("there must be pictures, --text or --data.")
    if asks and not _RESUME.value and not _COMPARE.value:
        common.check_output()


def _client(address, model, served):
    """A client of a version (digits), a label, or the newest version."""
    headers = {}
    for header in _HEADER.value:
        name, colon, value = header.partition(":")
        if not colon:
            raise app.UsageError(f"--header must be name:value. Received: {header!r}")
        headers[name.strip()] = value.strip()
    is_version = served is not None and served.isdecimal()
    return tatl_keras.serving.client.Client(
        address,
        model,
        protocol=_PROTOCOL.value,
        version=int(served) if is_version else None,
        label=None if is_version else served,
        timeout=_TIMEOUT.value,
        max_retries=_RETRIES.value,
        max_rows=common.BATCH_SIZE.value,
        max_message_bytes=_BYTES.value,
        tls=_TLS.value,
        root_certificates=_ROOTS.value,
        private_key=_KEY.value,
        certificate_chain=_CHAIN.value,
        headers=headers,
    )


def _ask(client, asked):
    """Writes a line for each example; the status is 1 if some have no answer."""
    plan, examples, _ = asked
    path, done, failed = common.OUTPUT.value, 0, 0
    with contextlib.ExitStack() as stack:
        file = sys.stdout
        if path is not None:
            if _RESUME.value:
                done, failed = _kept(path, plan)
            mode = "a" if done else "w"
            file = stack.enter_context(open(path, mode, encoding="utf-8"))
        bar = stack.enter_context(
            tqdm.tqdm(total=len(plan), initial=done, unit="example", disable=None, file=sys.stderr)
        )
        rows = itertools.islice(asking.rows(plan, examples), done, None)
        answers = tatl_keras.serving.client.stream(client, rows, in_flight=_IN_FLIGHT.value)
        stack.callback(answers.close)
        for some in answers:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some))
            file.flush()
            failed += sum("error" in row for row in some)
            bar.update(len(some))
    if failed:
        print(f"{failed} of {len(plan)} examples have no answer", file=sys.stderr)
    return 1 if failed else 0


def _kept(path, plan):
    """How many lines an earlier run wrote, and how many of them are errors.

    What it wrote of its last line is cut off.

    Raises:
        ValueError: the lines are not of the same examples in the same order.
    """
    if not os.path.exists(path):
        return 0, 0
    with open(path, "rb+") as file:
        whole = file.read()
        end = whole.rfind(b"\n") + 1
        file.truncate(end)
    lines = [json.loads(line) for line in whole[:end].splitlines()]
    for place, row in enumerate(lines):
        if place >= len(plan) or row.get("id") != plan[place][0]:
            raise ValueError(
                "--resume must go on with the examples that --output began with. "
                f"Received: --output={path} with {row.get('id')!r} in line {place + 1}"
            )
    return len(lines), sum("error" in row for row in lines)


def _compare(first, second, asked):
    """Prints how two versions differ; the status is 1 beyond --min_same."""
    plan, examples, labels = asked
    readable = [row for row in asking.rows(plan, examples) if not isinstance(row[1], Exception)]
    columns = [row[1] for row in readable], [row[2] for row in readable]
    found = tatl_keras.serving.client.compare(first, second, *columns, labels=labels)
    print(records.table(_comparison_lines(found)))
    missed = len(plan) - len(readable)
    if missed:
        print(f"{missed} of {len(plan)} examples could not be read", file=sys.stderr)
    too_few = _SAME.value is not None and found["same_label"] < _SAME.value
    return 1 if missed or too_few else 0


def _comparison_lines(found):
    names = _COMPARE.value
    lines = [
        ["same label", f"{found['same_label']:.2%}", f"of {found['examples']} examples"],
        ["difference of probabilities", f"{found['mean_difference']:.2e}",
         f"mean; largest {found['largest_difference']:.2e}"],
    ]  # fmt: skip
    if "accuracy" in found:
        for name, accuracy in zip(names, found["accuracy"], strict=True):
            lines.append([f"accuracy of {name}", f"{accuracy:.2%}", ""])
        interval = f"[{found['low']:+.2%}, {found['high']:+.2%}], p = {found['p_value']:.3g}"
        lines.append([f"{names[1]} - {names[0]}", f"{found['difference']:+.2%}", interval])
    for name, seconds in zip(names, found["seconds"], strict=True):
        median = "-" if seconds is None else f"{1000 * seconds:.1f} ms"
        lines.append([f"request to {name}", median, "median"])
    return lines


def _drift():
    """Prints how --output differs from --drift; the status is 1 beyond --max_drift."""
    now, then = (_read(path) for path in (common.OUTPUT.value, _DRIFT.value))
    found = tatl_keras.serving.client.drift(now, then)
    lines = [
        ["", "then", "now"],
        ["examples", *map(str, found["examples"])],
        *([name, *(f"{share:.2%}" for share in found[name])] for name in ("answered",)),
        ["confidence", *(f"{mean:.4f}" for mean in found["confidence"])],
        *([f"share of {name}", *(f"{share:.2%}" for share in shares)]
          for name, shares in itertools.islice(found["shares"].items(), 5)),
        ["total variation", f"{found['total_variation']:.4f}", f"p = {found['p_value']:.4f}"],
        ["psi", f"{found['psi']:.4f}", ""],
    ]  # fmt: skip
    print(records.table(lines))
    limit = _MAX_DRIFT.value
    return 1 if limit is not None and found["total_variation"] > limit else 0


def _read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


if __name__ == "__main__":
    run()
