"""The command line itself: help, hints, flagfiles, errors as one line."""

import subprocess
import sys

import pytest
from absl import app, flags
from absl.testing import flagsaver

from tatl_keras.bin import common, train
from tests.bin.conftest import PROGRAMS, run_program
from tests.project import fresh


@pytest.fixture(autouse=True)
def saved_flags():
    with flagsaver.flagsaver():
        yield


def parse(*words):
    arguments = common.parse(["tatl-train", *map(str, words)], train)
    values = flags.FLAGS
    return arguments, values.model, values.epochs


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_installed_script_shows_its_flags_without_tensorflow(name):
    code = fresh.program(name).replace("run()\n", "") + (
        "import sys\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "    assert 'tensorflow' not in sys.modules, 'help must not wait for TensorFlow'\n"
    )
    command = [sys.executable, "-c", "import sys\n" + code, "--help"]
    shown = fresh.finish(command, cwd=fresh.source.REPO, timeout=60)
    assert shown.startswith(f"tatl-{name}: ")
    own = {flag.name for flag in common.program_flags(PROGRAMS[name])}
    assert {"smoke", "debug", "register"} < own
    for flag in own:
        assert f"  --{flag}=" in shown or f"  --[no]{flag}\n" in shown
    assert "--pdb" not in shown


def test_help_has_meaning_choices_and_default():
    text = common.help_text(train)
    assert "  --head_solver=sgd|exact|logistic|auto\n" in text
    assert "  --epochs=…\n      How often each example is seen. (default: 30)" in text
    assert "--pdb" in common.help_text(train, full=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modle=x"], "Unknown command line flag 'modle'. Did you mean: model"),
        (["--epochs=many"], "flag --epochs=many"),
        (["--epochs=0"], "flag --epochs=0"),
        (["--on_bad=mend"], "value should be one of <error|skip>"),
        (["--nosmoke=1"], "--nosmoke=1 does not take an argument"),
        (["--top_k=3"], "Unknown command line flag 'top_k'"),
        (["--flagfile"], "Missing value for flag --flagfile"),
        (["--flagfile=nowhere.flags"], "Unable to open flagfile"),
        ([], "--model and --data and --workdir must be given."),
        (["--model=x", "--workdir=y"], "--data must be given."),
        (["word"], "there must be flags only. Received: 'word'"),
    ],
)
def test_a_wrong_command_line(words, message):
    outcome = run_program("train", *words)
    assert outcome.status == 2 and outcome.out == ""
    assert outcome.err.startswith("tatl-train: ") and message in outcome.err
    assert outcome.err.endswith("`tatl-train --help` shows the flags.\n")


@pytest.mark.parametrize("before", [True, False])
def test_the_command_line_wins_over_a_flagfile(tmp_path, before):
    file = tmp_path / "train.flags"
    file.write_text("# a recipe\n--epochs=7\n--model=from_file\n")
    words = ["--epochs=3", f"--flagfile={file}"]
    assert parse(*words[:: 1 if before else -1]) == ([], "from_file", 3)


def test_flagfiles_as_two_words_nested_and_several(tmp_path):
    (tmp_path / "base.flags").write_text("--epochs=7\n--model=base\n")
    (tmp_path / "more.flags").write_text(f"--flagfile={tmp_path}/base.flags\n--epochs=8\n")
    (tmp_path / "last.flags").write_text("--model=last\n")
    words = ["--flagfile", tmp_path / "more.flags", "word", "--flagfile", tmp_path / "last.flags"]
    assert parse(*words) == (["word"], "last", 8)


def test_words_after_two_dashes_are_no_flags():
    assert parse("--epochs=2", "--", "--epochs=3", "--flagfile=x") == (
        ["--epochs=3", "--flagfile=x"],
        None,
        2,
    )


def test_programs_take_their_own_flags_only():
    taken = {
        name: {flag.name for flag in common.program_flags(module)}
        for name, module in PROGRAMS.items()
    }
    assert "epochs" in taken["train"] and "epochs" not in taken["predict"]
    assert "workdir" in taken["export"] and "workdir" not in taken["predict"]


def fail(error):
    def main(arguments):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("`x` must be y."), 1, "tatl-train: `x` must be y.\n"),
        (RuntimeError("no disk"), 1, "tatl-train: no disk\n"),
        (FileNotFoundError(2, "No such file", "a.csv"), 1, "tatl-train: No such file: a.csv\n"),
        (KeyboardInterrupt(), 130, "tatl-train: interrupted\n"),
        (app.UsageError("no"), 2, "tatl-train: no\n`tatl-train --help` shows the flags.\n"),
    ],
)
def test_errors_are_one_line_and_a_status(capsys, error, status, message):
    common.parse(["tatl-train"], train)
    assert common.call(fail(error), train, []) == status
    assert capsys.readouterr().err == message


def test_errors_of_tensorflow_are_one_line(capsys):
    import tensorflow as tf

    common.parse(["tatl-train"], train)
    error = tf.errors.ResourceExhaustedError(None, None, "out of memory")
    assert common.call(fail(error), train, []) == 1
    assert "tatl-train: out of memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"), [(["--debug"], ValueError("x")), ([], AttributeError("a bug"))]
)
def test_debug_and_bugs_show_the_traceback(words, error):
    common.parse(["tatl-train", *words], train)
    with pytest.raises(type(error)):
        common.call(fail(error), train, [])


def test_a_closed_pipe_is_silent():
    code = "from tatl_keras.bin import common, zoo\nimport sys\n" + (
        "common.parse(['tatl-zoo'], zoo)\n"
        "def main(arguments):\n"
        "    for number in range(100_000):\n"
        "        print('line', number)\n"
        "sys.exit(common.call(main, zoo, []))\n"
    )
    command = f"'{sys.executable}' -c \"$CODE\" | head -1"
    environment = fresh.environment(CODE=code)
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "line 0\n" and done.stderr == ""


def test_register_wants_a_file():
    outcome = run_program("zoo", "list", "--register=nowhere.py")
    assert outcome.status == 1
    assert "--register must name Python files. Received: 'nowhere.py'" in outcome.err


def test_output_is_not_replaced_unasked(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    outcome = run_program("evaluate", "--workdir=x", f"--output={tmp_path}/old.json")
    assert outcome.status == 1 and "--output must be a new file" in outcome.err
    assert "old.json" in outcome.err and (tmp_path / "old.json").read_text() == "{}"


def test_output_needs_its_folder():
    outcome = run_program("evaluate", "--workdir=x", "--output=no/new.json")
    assert outcome.status == 1
    assert "--output must be in a folder that exists. Received: 'no/new.json'" in outcome.err


def test_a_real_process_ends_with_one_line():
    command = [sys.executable, "-c", fresh.GUARD + fresh.program("train")]
    words = ["--model=efficientnet_lite_minilm_concat", "--data=x.csv", "--workdir=w"]
    done = subprocess.run(
        command + words, env=fresh.environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("tatl-train: `name` must be a model of the zoo. Received: name='effic")
    assert "Did you mean efficientnet_lite0_minilm_concat" in line
