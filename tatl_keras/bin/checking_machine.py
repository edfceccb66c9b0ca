"""Devices, memory and room on the disks."""

import glob
import os
import pathlib
import platform
import shutil
import tempfile

from tatl_keras.bin.findings import BAD, GOOD, NOTE, Finding, gigabytes

# Instructions that matter here, as Linux calls them, and their common names.
_INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "asimd": "NEON"}
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
_LEAST_MEMORY, _ENOUGH_MEMORY = 1e9, 3e9
_LEAST_ROOM, _ENOUGH_ROOM = 0.1e9, 2e9
_TPU_DEVICES = "/dev/accel*"


def check_processor(instructions=None):
    """The processor's cores, and which of its instructions help.

    Args:
        instructions: set of str, as Linux calls them; by default what the machine has.
    """
    known = _instructions() if instructions is None else instructions
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{cores} cores" if cores > 1 else "1 core", platform.machine()]
    parts += [name for word, name in _INSTRUCTIONS.items() if word in known]
    found = ", ".join(parts)
    if known.intersection(_BFLOAT16):
        found += ", bfloat16: --compute_dtype=bfloat16 encodes faster here"
    return [Finding(GOOD, "processor", found)]


def check_accelerators(has_nvidia=None):
    """GPUs and TPUs that are there, and whether TensorFlow can use them.

    Args:
        has_nvidia: whether the machine has a GPU of NVIDIA's; by default it is looked for.
    """
    import tensorflow as tf

    from tatl_keras.training.strategy import LAST_WITH_TPU, TPU_VARIABLES

    findings = [_gpu(tf, _has_nvidia() if has_nvidia is None else has_nvidia)]
    signs = [name for name in TPU_VARIABLES if os.environ.get(name)] + glob.glob(_TPU_DEVICES)
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if signs and version > LAST_WITH_TPU:
        last = ".".join(map(str, LAST_WITH_TPU))
        found = f"{signs[0]} names one, but TensorFlow {tf.__version__} cannot use it"
        advice = f"pip install 'tensorflow=={last}.*' 'tensorflow-text=={last}.*'"
        findings.append(Finding(NOTE, "TPU", found, advice))
    elif signs:
        findings.append(Finding(GOOD, "TPU", f"{signs[0]}: tatl-train takes it"))
    return findings


def check_memory(available=None):
    """Memory that is free, also under the limit of a container.

    Args:
        available: number of bytes; by default it is looked up.
    """
    free = _available_memory() if available is None else available
    if free is None:
        return []
    found = f"{gigabytes(free)} free"
    if free >= _ENOUGH_MEMORY:
        return [Finding(GOOD, "memory", found)]
    advice = (
        "End other programs, or take less at once, with features on the disk:\n"
        "tatl-train --batch_size=8 --feature_cache=features"
    )
    return [Finding(BAD if free < _LEAST_MEMORY else NOTE, "memory", found, advice)]


def places():
    """Where programs write: tuples of title, folder, whether it is needed, what moves it."""
    home = pathlib.Path.home()
    hub = os.environ.get("KAGGLEHUB_CACHE") or home / ".cache" / "kagglehub"
    hugging = os.environ.get("HF_HOME") or home / ".cache" / "huggingface"
    sets = os.environ.get("TFDS_DATA_DIR") or home / "tensorflow_datasets"
    return [
        ("this folder", os.getcwd(), True, "cd /another/disk"),
        ("temporary files", tempfile.gettempdir(), True, "export TMPDIR=/another/disk"),
        ("model cache", str(hub), False, "export KAGGLEHUB_CACHE=/another/disk/kagglehub"),
        ("Hugging Face cache", str(hugging), False, "export HF_HOME=/another/disk/huggingface"),
        ("TFDS data sets", str(sets), False, "export TFDS_DATA_DIR=/another/disk/tfds"),
    ]


def check_disk(where=None):
    """Room on the disks that programs write to, and whether they may.

    Args:
        where: list as `places` gives it.
    """
    good, findings = [], []
    for title, folder, needed, advice in places() if where is None else where:
        existing = _existing(folder)
        free = shutil.disk_usage(existing).free
        found = f"{gigabytes(free)} free in {existing}"
        if not os.access(existing, os.W_OK | os.X_OK):
            mark, found = BAD if needed else NOTE, f"{existing} may not be written"
        elif free < _ENOUGH_ROOM:
            mark = BAD if needed and free < _LEAST_ROOM else NOTE
        else:
            good.append(f"{title} {gigabytes(free)}")
            continue
        findings.append(Finding(mark, f"disk, {title}", found, advice))
    listed = [Finding(GOOD, "disk", f"free: {', '.join(good)}")] if good else []
    return listed + findings


def _gpu(tf, has_nvidia):
    devices = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(one).get("device_name") for one in devices]
    if devices:
        described = ", ".join(str(name or "unknown") for name in names)
        return Finding(GOOD, "GPU", f"{len(devices)}: {described}")
    if not has_nvidia:
        return Finding(GOOD, "GPU", "none; everything runs on the processor")
    minor = ".".join(tf.__version__.split(".")[:2])
    found = "there is one of NVIDIA's, but TensorFlow cannot use it"
    return Finding(NOTE, "GPU", found, f"pip install 'tensorflow[and-cuda]=={minor}.*'")


def _has_nvidia():
    return os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None


def _instructions():
    """What /proc/cpuinfo says of the first core."""
    for line in _text("/proc/cpuinfo").splitlines():
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(values.split())
    return set()


def _available_memory():
    found = [_container_memory()]
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    if len(found) == 1 and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((count for count in found if count is not None), default=None)


def _container_memory(folder="/sys/fs/cgroup"):
    """What a container's limit leaves, `None` without one."""
    limit, used = (_text(f"{folder}/memory.{name}").strip() for name in ("max", "current"))
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _text(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _existing(folder):
    """The folder, or the nearest one above it that is there."""
    path = pathlib.Path(folder).expanduser().absolute()
    return str(next(one for one in (path, *path.parents) if one.is_dir()))
