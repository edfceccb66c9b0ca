"""The processes that train together, as the environment tells."""

import dataclasses
import json
import os

import tensorflow as tf

from tatl_keras.features.sharing import worker_of

_FORM = (
    'As in {"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}.'
)
_PORT = 8888
WORKERS, INDEX = "TATL_KERAS_WORKERS", "JOB_COMPLETION_INDEX"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers, and which of them this process is.

    Args:
        workers: tuple of "host:port"; the first one writes files.
        index: int, the place of this process.
        source: str, where that is from.
    """

    workers: tuple
    index: int
    source: str

    def resolver(self):
        """A `tf.distribute.cluster_resolver.SimpleClusterResolver`."""
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.workers)}), task_type="worker",
            task_id=self.index, rpc_layer="grpc",
        )  # fmt: skip


def find_cluster(environment=None):
    """Reads the workers from the environment; `None` where it names none.

        TF_CONFIG                              TensorFlow's own, also of Kubeflow and Vertex AI
        SLURM_PROCID, SLURM_NTASKS, …          a step of Slurm with several tasks
        TATL_KERAS_WORKERS                     "host-0:2222,host-1:2222", with
          and JOB_COMPLETION_INDEX             the place in it, as Kubernetes' indexed jobs set it

    The first that is there counts. A chief is the first worker.

    Args:
        environment: dict; `os.environ` if `None`.

    Returns:
        A `Cluster`, or `None`.

    Raises:
        ValueError: a variable is not as above, or half of them are missing.

    Example:

    >>> workers = {"TATL_KERAS_WORKERS": "a:2222,b:2222", "JOB_COMPLETION_INDEX": "1"}
    >>> found = find_cluster(workers)
    >>> found.workers, found.index
    (('a:2222', 'b:2222'), 1)
    """
    environment = os.environ if environment is None else environment
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if int(environment.get("SLURM_NTASKS") or 1) > 1 and "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    if environment.get(WORKERS):
        return _from_list(environment)
    return None


def is_first(strategy):
    """Whether this process is the one that writes files: alone, or the first of several workers.

    Example:

    >>> import tensorflow as tf
    >>> is_first(tf.distribute.get_strategy())
    True
    """
    return worker_of(strategy)[0] == 0


def of_all_workers(strategy, number):
    """The int that each worker passes, of all of them; alone, a list of the number itself.

    All workers must call it.

    Example:

    >>> import tensorflow as tf
    >>> of_all_workers(tf.distribute.get_strategy(), 3)
    [3]
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return [number]

    @tf.function
    def gather(numbers):
        return strategy.gather(strategy.run(lambda: numbers), axis=0)

    return gather(tf.constant([number], tf.int64)).numpy().tolist()


def _from_tf_config(text):
    try:
        config = json.loads(text)
        cluster, task = dict(config.get("cluster", {})), dict(config.get("task", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"`TF_CONFIG` must be JSON. Received: {text!r}. {_FORM}") from error
    if "ps" in cluster:
        raise ValueError(
            "`TF_CONFIG` must not have parameter servers, with which Keras 3 cannot train. "
            f"Received: {text!r}. Make them workers: all of them train then, in step."
        )
    foreign = sorted(set(cluster) - {"chief", "worker"})
    roles = {name: cluster.get(name) for name in ("chief", "worker") if cluster.get(name)}
    lists = all(isinstance(addresses, list) for addresses in roles.values())
    if foreign or not roles or not lists:
        raise ValueError(f"`TF_CONFIG` must list workers in `cluster`. Received: {text!r}. {_FORM}")
    places = [(role, index) for role, hosts in roles.items() for index in range(len(hosts))]
    mine = (task.get("type"), task.get("index"))
    if mine not in places:
        raise ValueError(
            f"`TF_CONFIG` must say in `task` which of {places} this process is. "
            f"Received: {text!r}. {_FORM}"
        )
    workers = [address for addresses in roles.values() for address in addresses]
    return Cluster(_checked(workers, "TF_CONFIG", text), places.index(mine), "TF_CONFIG")


def _from_slurm(environment):
    needed = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")
    missing = [name for name in needed if name not in environment]
    if missing:
        raise ValueError(
            f"`{missing[0]}` must be set where SLURM_NTASKS is "
            f"{environment['SLURM_NTASKS']}. Received: none. Start the program with srun."
        )
    # The resolver takes tasks as far as there are GPUs for them; a node of CPUs has tasks too.
    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=_PORT, auto_set_gpu=False, gpus_per_node=2**20, gpus_per_task=1
    )
    workers = slurm.cluster_spec().as_dict()["worker"]
    return Cluster(tuple(workers), int(environment["SLURM_PROCID"]), "SLURM_PROCID, SLURM_NTASKS")


def _from_list(environment):
    text, index = environment[WORKERS], environment.get(INDEX, "")
    workers = _checked([part.strip() for part in text.split(",")], WORKERS, text)
    if not index.isdecimal() or int(index) >= len(workers):
        raise ValueError(
            f"`{INDEX}` must be from 0 to {len(workers) - 1} where {WORKERS} lists {len(workers)} "
            f"workers. Received: {index!r}. Indexed jobs of Kubernetes set it."
        )
    return Cluster(workers, int(index), f"{WORKERS}, {INDEX}")


def _checked(workers, name, text):
    """The addresses as a tuple, each with a port and only once."""
    wrong = [a for a in workers if not (isinstance(a, str) and a.rpartition(":")[2].isdecimal())]
    wrong = wrong or sorted({a for a in workers if workers.count(a) > 1})
    if wrong:
        raise ValueError(
            f"`{name}` must list different addresses with ports. Received: {wrong[0]!r} in {text!r}"
        )
    return tuple(workers)
