"""Makes tatl_keras/models/lint/ops_2_20.txt: the ops that TensorFlow Serving 2.20 can run.

    pip install "tensorflow==2.20.*" "tensorflow-text==2.20.*"
    python tests/goldens/serving_ops.py

These are the ops registered by TensorFlow and tensorflow-text, both of which the server links, that
have a kernel for a CPU or a GPU. Left out are Python's own functions, ops of XLA, which the server
has switched off, and those with a leading underscore, which no SavedModel may hold.
"""

import pathlib
import re

import tensorflow as tf
import tensorflow_text
from tensorflow.core.framework import kernel_def_pb2, op_def_pb2
from tensorflow.python.client import pywrap_tf_session as session

SERVING = "2.20"
LEFT_OUT = re.compile(
    r"_|(Eager)?PyFunc|NumpyFunction|Xla|(AssignVariable|ReadVariable)Xla|TestAttr"
)
DEVICES = {"CPU", "GPU", "DEFAULT"}
# Replaced by other ops before kernels are looked for.
REWRITTEN = {"AccumulateNV2"}


def main():
    for version in (tf.__version__, tensorflow_text.__version__):
        if not version.startswith(f"{SERVING}."):
            raise SystemExit(f"Needs TensorFlow and tensorflow-text {SERVING}. Found: {version}")
    ops, kernels = op_def_pb2.OpList(), kernel_def_pb2.KernelList()
    ops.ParseFromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    kernels.ParseFromString(session.TF_GetBuffer(session.TF_GetAllRegisteredKernels()))
    runs = {kernel.op for kernel in kernels.kernel if kernel.device_type in DEVICES} | REWRITTEN
    names = sorted({op.name for op in ops.op} & runs)
    names = [name for name in names if not LEFT_OUT.match(name)]
    folder = pathlib.Path(__file__).parents[2] / "tatl_keras" / "models" / "lint"
    header = [
        f"# Ops that a stock TensorFlow Serving {SERVING} can run, one a line: those registered by",
        f"# tensorflow {tf.__version__} and tensorflow-text {tensorflow_text.__version__} with a "
        "kernel for a CPU or a GPU,",
        "# less Python functions, ops of XLA and internal ones. Those of TensorFlow Decision",
        "# Forests, which the server links too, are not among them.",
        "# Made by tests/goldens/serving_ops.py.",
    ]
    path = folder / f"ops_{SERVING.replace('.', '_')}.txt"
    path.write_text("\n".join([*header, *names, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
