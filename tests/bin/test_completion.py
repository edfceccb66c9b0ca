"""`tatl-zoo completion`: what the scripts complete in real shells."""

import configparser
import shutil
import subprocess

import pytest

from tatl_keras import __version__, zoo
from tatl_keras.bin import common
from tests.bin.conftest import PROGRAMS, run_program, succeed
from tests.project.source import REPO

# Words as readline passes them, where = breaks words; one line of answers for each asked.
BASH = r"""
source "$1"
complete -p tatl-train >/dev/null || exit 1
while IFS= read -r line; do
  COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=() COMPREPLY=()
  for word in ${line//=/ = }; do COMP_WORDS+=("$word"); done
  [[ $line == *[[:space:]=] ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _tatl "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
  (IFS='|'; echo "${COMPREPLY[*]}")
done
"""
# Types a line and a tab into a terminal of zsh's own; matches go to a file.
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "autoload -Uz compinit; compinit -D -u; source $1"
zpty -w z "compadd () { local h; builtin compadd -A h \"\$@\"; print -rl -- \$h >> $3; builtin compadd \"\$@\" }"
zpty -n -w z "$2"$'\t'
for i in {1..100}; do [[ -s $3 ]] && break; sleep 0.1; done
zpty -d z
"""  # noqa: E501


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Dict from shell to the file with its script."""
    folder = tmp_path_factory.mktemp("completion")
    paths = {}
    for shell in ("bash", "zsh", "fish"):
        paths[shell] = folder / f"tatl.{shell}"
        paths[shell].write_text(succeed("zoo", "completion", shell).out, encoding="utf-8")
    return paths


@pytest.fixture
def ask_bash(scripts):
    """What bash offers for lines that end where the cursor is: a list each."""

    def ask(*lines, before="", code=BASH):
        command = ["bash", "--norc", "--noprofile", "-c", before + code, "bash", scripts["bash"]]
        asked = "".join(f"{line}\n" for line in lines)
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return [line.split("|") if line else [] for line in done.stdout.splitlines()]

    return ask


def test_every_installed_program_completes_all_its_flags(ask_bash):
    setup = configparser.ConfigParser()
    setup.read(REPO / "setup.cfg", encoding="utf-8")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    installed = {line.split(" = ")[0] for line in lines if line}
    assert installed == {f"tatl-{name}" for name in PROGRAMS}
    answers = ask_bash(*(f"tatl-{name} --" for name in PROGRAMS))
    for module, answer in zip(PROGRAMS.values(), answers, strict=True):
        expected = {"--help", "--flagfile="}
        for flag in common.program_flags(module):
            valued = {f"--{flag.name}", f"--no{flag.name}"} if flag.boolean else None
            expected |= valued or {f"--{flag.name}="}
        assert set(answer) == expected


def test_values_are_those_that_the_flags_take(ask_bash):
    choices = ["sgd", "exact", "logistic", "auto"]
    lines = {
        "tatl-train --head_so": ["--head_solver="],
        "tatl-train --head_solver=": choices,
        "tatl-train --head_solver=e": ["exact"],
        "tatl-train --epochs=3 --head_solver lo": ["logistic"],
        "tatl-train --model=": zoo.list_models(),
        "tatl-train --model resnet50_l": zoo.list_models("resnet50_l*"),
        "tatl-encode --model=clip": zoo.list_models("clip*"),
        "tatl-release --model=": [],
        "tatl-train --epochs=": [],
        "tatl-train --nothing=": [],
        "/usr/bin/tatl-zoo --out": ["--output="],
    }
    assert ask_bash(*lines) == list(lines.values())


def test_words_behind_the_program(ask_bash):
    words = ["list", "show", "new", "completion"]
    (first,) = ask_bash("tatl-zoo ")
    assert first[: len(words)] == words
    lines = {
        "tatl-zoo sh": ["show"],
        "tatl-zoo show bert": zoo.list_models("bert*"),
        "tatl-zoo completion ": ["bash", "zsh", "fish"],
        "tatl-zoo completion bash --over": ["--overwrite"],
        "tatl-zoo new ": [],
        "tatl-zoo --output=x show bert": zoo.list_models("bert*"),
        "tatl-zoo --output x --overwrite show bert": zoo.list_models("bert*"),
        "tatl-zoo --output=x sh": ["show"],
        "tatl-zoo --output x completion ": ["bash", "zsh", "fish"],
        "tatl-zoo --overwrite new ": [],
        "tatl-cache ": ["list", "verify", "prune"],
    }
    assert ask_bash(*lines) == list(lines.values())


def test_paths_are_completed_where_a_flag_takes_one(ask_bash, tmp_path):
    (tmp_path / "two words.csv").touch()
    (tmp_path / "tw").mkdir()
    for flag in ("--data=", "--flagfile=", "--register=", "--class_texts ", "--workdir="):
        assert sorted(ask_bash(f"tatl-train {flag}t")[0]) == ["tw", "two words.csv"]
    lines = {
        "tatl-predict two": ["two words.csv"],
        "tatl-train --smoke two": ["two words.csv"],
        "tatl-predict --model=two": ["two words.csv"],
        "tatl-train --split_column=two": [],
    }
    assert ask_bash(*lines) == list(lines.values())


def test_a_bash_that_does_not_break_words_at_equal_signs(ask_bash):
    answers = ask_bash("tatl-train --head_solver=e", before="COMP_WORDBREAKS=' '\n")
    assert answers == [["--head_solver=exact"]]
    whole = "  COMP_WORDS=(tatl-zoo --output=x completion '') COMP_CWORD=3\n"
    asked = BASH.replace("  _tatl ", f"{whole}  _tatl ")
    assert ask_bash("tatl-zoo --output=x completion ", code=asked) == [["bash", "zsh", "fish"]]


def test_the_scripts_start_no_program(scripts):
    for shell, path in scripts.items():
        code = path.read_text(encoding="utf-8")
        assert code.startswith(f"# Completion of tatl_keras {__version__} for {shell}.")
        lines = [line for line in code.splitlines() if not line.startswith("#")]
        assert not any("python" in line or "$(tatl" in line for line in lines)


def test_fish(scripts, tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")

    def ask(line):
        code = f"source {scripts['fish']}; complete -C {line!r}"
        done = subprocess.run(["fish", "-N", "-c", code], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return [row.split("\t") for row in done.stdout.splitlines()]

    assert [row[0] for row in ask("tatl-train --head_solver=")] == [
        f"--head_solver={value}" for value in ("auto", "exact", "logistic", "sgd")
    ]
    assert ask("tatl-train --epoc") == [["--epochs", "How often each example is seen"]]
    assert [row[0] for row in ask("tatl-zoo show bert")] == zoo.list_models("bert*")
    assert {"list", "show"} <= {row[0] for row in ask("tatl-zoo ")}
    (tmp_path / "two words.csv").touch()
    assert ask("tatl-train --data=two") == [["--data=two words.csv"]]


def test_zsh(scripts, tmp_path):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    answers = {
        "tatl-train --head_solver=": ["sgd", "exact", "logistic", "auto"],
        "tatl-zoo show bert": zoo.list_models("bert*"),
    }
    for line, expected in answers.items():
        found = tmp_path / "found"
        found.write_text("")
        command = ["zsh", "-f", "-c", ZSH, "zsh", scripts["zsh"], line, found]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert found.read_text().split() == expected


def test_another_shell_is_an_error():
    outcome = run_program("zoo", "completion", "tcsh")
    assert outcome.status == 2
    assert "must be followed by bash, zsh or fish. Received: tcsh" in outcome.err
