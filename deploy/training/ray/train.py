"""tatl-train on the workers of a Ray cluster, started again together where one is lost.

    python deploy/training/ray/train.py --num_workers=2 --gpus_per_worker=1 -- \\
        --model=efficientnet_lite0_minilm_gated --data=/shared/data/pets.csv \\
        --workdir=/shared/runs/pets --strategy=multi_worker --batch_size=64

Ray finds places for the workers and tells each of them all addresses (TF_CONFIG). What stands
behind `--` is the command line of tatl-train, which runs as it is, in a process of its own on each
worker; so results and files are those of any other way to start it. Data and workdir must be on a
disk that all nodes see. After a preemption, or where a worker is lost, Ray starts all workers
again, up to --max_restarts times, and they go on from the last checkpoint. An error that no restart
mends (exit status 1 or 2) ends the run.

Needs pip install 'tatl_keras[ray]' on all nodes.
"""

import ctypes
import os
import signal
import subprocess
import sys

from absl import app, flags

_WORKERS = flags.DEFINE_integer("num_workers", 2, "Workers that train together.", lower_bound=1)
_GPUS = flags.DEFINE_integer("gpus_per_worker", 0, "GPUs of each worker.", lower_bound=0)
_CPUS = flags.DEFINE_integer("cpus_per_worker", 1, "CPUs of each worker.", lower_bound=1)
_RESTARTS = flags.DEFINE_integer(
    "max_restarts", 20, "How often all workers are started again.", lower_bound=0
)
_STORAGE = flags.DEFINE_string(
    "ray_storage", None, "Where Ray notes the run, on a disk all nodes see. Default: ~/ray_results."
)

NOT_MENDED = (1, 2)  # exit statuses of tatl-train: an error, a wrong command line


def main(argv):
    import ray.train.tensorflow

    trainer = ray.train.tensorflow.TensorflowTrainer(
        train_on_worker,
        train_loop_config={"arguments": argv[1:]},
        scaling_config=ray.train.ScalingConfig(
            num_workers=_WORKERS.value,
            use_gpu=_GPUS.value > 0,
            resources_per_worker={"CPU": _CPUS.value, "GPU": _GPUS.value},
        ),
        run_config=ray.train.RunConfig(
            storage_path=_STORAGE.value,
            failure_config=ray.train.FailureConfig(max_failures=_RESTARTS.value),
        ),
    )
    return trainer.fit().return_value


def train_on_worker(config):
    """Runs tatl-train; an exit status that a restart mends is an error, on which Ray restarts."""
    # Ray asks for Keras 2 besides setting TF_CONFIG.
    environment = {key: os.environ[key] for key in os.environ if key != "TF_USE_LEGACY_KERAS"}
    command = [sys.executable, "-m", "tatl_keras.bin.train", *config["arguments"]]
    status = subprocess.call(command, env=environment, preexec_fn=end_with_parent)
    if status and status not in NOT_MENDED:
        raise RuntimeError(f"tatl-train ended with status {status}")
    return status


def end_with_parent():
    """On Linux, has this process killed when Ray kills the worker that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    app.run(main)
