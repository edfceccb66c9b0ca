"""What all programs share: reading the command line, help, errors as one line, a few flags.

A program is a module with `main(arguments)`, which returns an exit status, and with a docstring
that is its help. It shows and takes the flags it defines, those it names with
`flags.declare_key_flag`, and absl's own; any other is an error. A dict `HELP` in the module says
what a shared flag means there, a tuple `WITHOUT_TENSORFLOW` before which first words TensorFlow is
not imported.
"""

import contextlib
import os
import runpy
import sys
import tempfile
import textwrap

from absl import app, flags, logging

FLAGS = flags.FLAGS

MODEL = flags.DEFINE_string("model", None, "A model.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run of tatl-train.")
OUTPUT = flags.DEFINE_string("output", None, "Where to write.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace what an earlier run wrote.")
SPLIT = flags.DEFINE_string("split", None, "Which examples of --data: a split's name, or all.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Examples in one step.", lower_bound=1)
MODELS_CONFIG = flags.DEFINE_string(
    "models_config", None, "The server's --model_config_file, such as saved_models/models.config."
)
RUNNER = flags.DEFINE_string(
    "runner", None, "Beam's runner: DirectRunner, DataflowRunner, FlinkRunner, SparkRunner …"
)
REGISTER = flags.DEFINE_list(
    "register",
    [],
    "Python files to run first, with models of your own; `tatl-zoo new` writes one.",
)
SMOKE = flags.DEFINE_bool(
    "smoke", False, "Try the program: one step on made-up data with tiny encoders. Needs no data."
)
DEBUG = flags.DEFINE_bool("debug", False, "Show where in the code an error came from.")

_HELP = {"--help", "-help", "-h", "--h", "-?", "--helpshort", "-helpshort"}
_HELP_FULL = {"--helpfull", "-helpfull"}
_WIDTH = 88
_FIRST = ("model", "data", "workdir", "output")
_LAST = ("register", "smoke", "debug")


def run(main, module):
    """Runs a program on the command line and ends the process.

    The exit status is 0, 1 for an error (one line on stderr; a traceback with `--debug`), or 2 for
    a wrong command line.

    Args:
        main: function that takes the arguments that are not flags and returns a status.
        module: the program's module, `sys.modules[__name__]`.
    """
    # Both are read while TensorFlow and Keras are imported, which happens in `main`.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")

    def parse_or_exit(argv):
        try:
            return parse(argv, module)
        except flags.Error as error:
            sys.exit(_usage_error(module, error))

    def start(arguments):
        if arguments[:1] not in [[word] for word in getattr(module, "WITHOUT_TENSORFLOW", ())]:
            _import_tensorflow_quietly()
        return call(main, module, arguments)

    app.run(start, flags_parser=parse_or_exit)


def call(main, module, arguments):
    """Runs `main` on parsed arguments and turns errors into an exit status.

    Args:
        main, module: as `run` takes them.
        arguments: list of str, what `parse` returned.

    Returns:
        The exit status.
    """
    try:
        for path in REGISTER.value:
            register(path)
        return main(arguments) or 0
    except app.UsageError as error:
        return _usage_error(module, error)
    except KeyboardInterrupt:
        print(f"{name_of(module)}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        if DEBUG.value or not _is_users(error):
            raise
        print(f"{name_of(module)}: {_text_of(error)}", file=sys.stderr)
        return 1


def parse(argv, module):
    """Parses a command line with the flags of one program.

    Flags on the command line win over those of a `--flagfile`, wherever it stands. Among several
    flagfiles the last one wins.

    Args:
        argv: list of str with the program's name first.
        module: the program's module.

    Returns:
        The arguments that are not flags.

    Raises:
        flags.Error: a flag is unknown (the message names the nearest) or its value is wrong.
        SystemExit: help was asked for and has been shown.
    """
    words = set(argv[1 : argv.index("--")] if "--" in argv else argv[1:])
    if words & (_HELP | _HELP_FULL):
        print(help_text(module, full=bool(words & _HELP_FULL)))
        sys.exit(0)
    own = flags.FlagValues()
    own.set_gnu_getopt(True)
    for flag in (*program_flags(module), *_absl_flags()):
        own[flag.name] = flag
    try:
        arguments = own(_flagfiles_first(argv))
    except ValueError as error:  # absl's word for --noflag=value
        raise flags.Error(error) from None
    FLAGS.mark_as_parsed()
    if not FLAGS["verbosity"].present:
        FLAGS.verbosity = logging.WARNING  # absl.app would ask for more
        FLAGS["verbosity"].using_default_value = False
    return arguments[1:]


def no_arguments(arguments):
    """Raises a usage error when a program that takes flags only was given anything else."""
    if arguments:
        raise app.UsageError(
            f"there must be flags only. Received: {arguments[0]!r}. A flag and its value are "
            "written --name=value."
        )


def required(*holders):
    """Raises a usage error that names the flags that have no value."""
    missing = [f"--{holder.name}" for holder in holders if not holder.value]
    if missing:
        raise app.UsageError(f"{' and '.join(missing)} must be given.")


def check_output(holder=OUTPUT):
    """Raises an error when `--output`, or another flag, is a file that may not be replaced."""
    path = holder.value
    if path is None:
        return
    if os.path.exists(path) and not OVERWRITE.value:
        raise FileExistsError(
            f"--{holder.name} must be a new file. Received: {path!r}. --overwrite replaces it."
        )
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"--{holder.name} must be in a folder that exists. Received: {path!r}"
        )


def check_beam_flags(arguments):
    """Raises an error for words that are no flags of Beam, or that come without `--runner`."""
    wrong = [word for word in arguments if not word.startswith("--")]
    if wrong or (arguments and RUNNER.value is None):
        raise app.UsageError(
            "there must be flags only; those of Beam stand behind -- and come with --runner. "
            f"Received: {(wrong or arguments)[0]!r}"
        )


def program_flags(module):
    """The flags a program takes, absl's aside, in the order in which help shows them."""
    order = {name: place for place, name in enumerate(_FIRST)}
    order |= {name: len(_FIRST) + 1 + place for place, name in enumerate(_LAST)}
    own = FLAGS.get_key_flags_for_module(module)
    return sorted(own, key=lambda flag: order.get(flag.name, len(_FIRST)))


def help_text(module, full=False):
    """What `--help` shows: the program's docstring and its flags; absl's too when `full`."""
    lines = [module.__doc__.strip(), "", "Flags:"]
    meanings = getattr(module, "HELP", {})
    for flag in program_flags(module):
        lines += _flag_lines(flag, meanings.get(flag.name, flag.help))
    lines += ["  --flagfile=FILE", "      Read flags from a file, one a line; # starts a comment."]
    if full:
        lines += ["", "Flags of absl:"]
        for flag in _absl_flags():
            lines += _flag_lines(flag, flag.help)
    return "\n".join(lines)


def name_of(module):
    """The program's name as it is typed, also under `python -m`."""
    dotted = module.__spec__.name if module.__spec__ else module.__name__
    return f"tatl-{dotted.split('.')[-1]}"


def _absl_flags():
    defined = FLAGS.flags_by_module_dict()
    found = [flag for name in ("absl.app", "absl.logging") for flag in defined.get(name, [])]
    return [flag for flag in found if not flag.name.startswith("help") and flag.name != "?"]


def _flag_lines(flag, meaning):
    if flag.boolean:
        title = f"--[no]{flag.name}"
    else:
        choices = getattr(flag.parser, "enum_values", None)
        title = f"--{flag.name}=" + ("|".join(choices) if choices else "…")
    has_default = flag.default not in (None, "", [], False)
    default = f" (default: {flag.default_as_str})".replace("'", "") if has_default else ""
    meaning = " ".join((meaning or "").split())
    text = meaning.split(">: ", 1)[-1] + default  # absl writes the choices before the meaning
    indent = " " * 6
    wrapped = textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return [f"  {title}", *wrapped]


def _flagfiles_first(argv):
    """Moves `--flagfile`s to the front: absl lets whatever comes later win."""
    first, others = [], []
    words = iter(argv[1:])
    for word in words:
        if word == "--":
            others += [word, *words]
        elif word in ("--flagfile", "-flagfile"):
            value = next(words, None)
            if value is None:
                raise flags.Error("Missing value for flag --flagfile")
            first.append(f"--flagfile={value}")
        else:
            is_file = word.startswith(("--flagfile=", "-flagfile="))
            (first if is_file else others).append(word)
    return [argv[0], *first, *others]


@contextlib.contextmanager
def quiet_stderr():
    """Holds back what is written to stderr, TensorFlow's own words too, unless the block fails."""
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def register(path):
    if not os.path.isfile(path):
        raise FileNotFoundError(f"--register must name Python files. Received: {path!r}")
    runpy.run_path(path, run_name="tatl_keras_registered")


def _import_tensorflow_quietly():
    with quiet_stderr():
        import tensorflow  # noqa: F401


def _is_users(error):
    """Whether an error is about what the user gave, and not a fault of the program."""
    tensorflow = sys.modules.get("tensorflow")
    kinds = (ValueError, OSError, RuntimeError, ImportError)
    return isinstance(error, kinds + ((tensorflow.errors.OpError,) if tensorflow else ()))


def _text_of(error):
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}"
    return text


def _usage_error(module, error):
    name = name_of(module)
    print(f"{name}: {error}\n`{name} --help` shows the flags.", file=sys.stderr)
    return 2
