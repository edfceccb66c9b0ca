"""`tatl-zoo verify`: one tiny model for real; what is written, compared and left alone."""

import json
import subprocess
import types

import pytest

from tatl_keras import training, zoo
from tatl_keras.bin import verifying
from tatl_keras.training.proofs import PROOFS, WITHOUT_WEIGHTS, conditions
from tests.bin.conftest import run_program, succeed

NAME = "test_efficientnet_bert_concat"
SHAPES = ",".join(WITHOUT_WEIGHTS)


def test_a_tiny_model_is_verified_for_real(tmp_path):
    out = succeed("zoo", "verify", "--smoke").out
    assert f"{NAME}: verified" in out
    for proof in PROOFS:
        (line,) = (line for line in out.splitlines() if line.split()[0] == proof)
        assert line.split()[1] == "passed", line
    assert "tensors of image and text unchanged" in out
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def verify(monkeypatch):
    """Stands for `training.verify`; its attributes are what it finds."""

    def stand_in(name, proofs=None):
        zoo.spec(name)
        found = dict.fromkeys(proofs or PROOFS, {"passed": True, "result": "so", "bound": ""})
        found = {proof: each | {"facts": stand_in.facts} for proof, each in found.items()}
        for proof in stand_in.broken & set(found):
            found[proof] = {"passed": False, "reason": "it thawed"}
        found.get("speed", {})["measured"] = {"references": 1.0, "bytes": 1}
        return training.Verification(name, found, {}, stand_in.conditions)

    stand_in.facts, stand_in.broken, stand_in.conditions = {"n": 1}, set(), {"commit": "abc"}
    monkeypatch.setattr(training, "verify", stand_in)
    return stand_in


def read(folder, name=NAME):
    return json.loads((folder / name / "proofs.json").read_text(encoding="utf-8"))


def test_written_and_compared(tmp_path, verify):
    command = ("zoo", "verify", NAME, f"--output={tmp_path}")
    out = succeed(*command).out
    assert f"written to {tmp_path}/{NAME}/proofs.json" in out
    assert set(read(tmp_path)["proofs"]) == set(PROOFS)
    assert "DIFFERENT" not in succeed(*command, "--check_written").out
    verify.facts = {"n": 2}
    outcome = run_program(*command, "--check_written")
    assert outcome.status == 1 and "DIFFERENT counts: n changed" in outcome.out
    assert read(tmp_path)["proofs"]["counts"]["facts"] == {"n": 1}
    verify.broken = {"frozen"}
    outcome = run_program(*command)
    assert outcome.status == 1 and f"{NAME}: failed frozen" in outcome.out
    assert "it thawed" in outcome.out and read(tmp_path)["proofs"]["frozen"]["passed"] is False


def test_some_proofs_leave_more_of_the_same_alone(tmp_path, verify):
    command = ("zoo", "verify", NAME, f"--output={tmp_path}")
    succeed(*command)
    some = (*command, f"--proofs={SHAPES}")
    assert "has these and more: left as it is" in succeed(*some).out
    assert set(read(tmp_path)["proofs"]) == set(PROOFS)


@pytest.mark.parametrize("what", ["facts", "conditions", "proofs"])
def test_some_proofs_do_not_replace_more_of_another_model(tmp_path, verify, what):
    command = ("zoo", "verify", NAME, f"--output={tmp_path}")
    first = f"--proofs={SHAPES}" if what == "proofs" else "--overwrite"
    succeed(*command, first)
    before = read(tmp_path)
    verify.facts = {"n": 2 if what == "facts" else 1}
    verify.conditions = {"commit": "def" if what == "conditions" else "abc"}
    some = "frozen" if what == "proofs" else SHAPES
    out = succeed(*command, f"--proofs={some}").out
    assert "NOT WRITTEN: " in out and f"`tatl-zoo verify {NAME}` makes and writes all" in out
    assert read(tmp_path) == before
    succeed(*command)
    assert set(read(tmp_path)["proofs"]) == set(PROOFS)
    assert read(tmp_path)["conditions"] == verify.conditions


def test_what_is_not_there_is_different(tmp_path, verify):
    outcome = run_program("zoo", "verify", NAME, f"--output={tmp_path}", "--check_written")
    assert outcome.status == 1 and "proofs.json is not there" in outcome.out


def test_all_are_shared_out(monkeypatch, tmp_path):
    started = []

    def run(command, **options):
        started.append(command[4:])
        return subprocess.CompletedProcess(command, int("minilm_text_only" in command))

    replaced = types.SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr(verifying, "subprocess", replaced)
    outcome = run_program("zoo", "verify", "--all", f"--output={tmp_path}")
    assert outcome.status == 1 and "Some proofs failed." in outcome.out
    whole = [words for words in started if not any("--proofs" in word for word in words)]
    shapes = [words for words in started if f"--proofs={SHAPES}" in words]
    names = {word for words in whole for word in words if not word.startswith("--")}
    small = {*zoo.list_models("efficientnet_lite0_*"), "minilm_text_only"}
    small |= {name for name in zoo.list_models(task="translate") if not name.startswith("test_")}
    assert names == small | set(zoo.list_models("test_*"))
    (words,) = shapes
    rest = {word for word in words if not word.startswith("--")}
    assert rest == set(zoo.list_models()) - names
    assert all({"--processes=1", f"--output={tmp_path}"} <= set(words) for words in started)
    started.clear()
    run_program("zoo", "verify", "--large", f"--output={tmp_path}")
    assert {words[0] for words in started} == rest and all(len(w) < 5 for w in started)
    started.clear()
    run_program("zoo", "verify", "--all", "--proofs=frozen,counts", f"--output={tmp_path}")
    for words in started:
        proofs = "counts" if rest & set(words) else "frozen,counts"
        assert f"--proofs={proofs}" in words and not (rest & set(words) and names & set(words))
    assert {w for words in started for w in words if w[0] != "-"} == rest | names
    started.clear()
    run_program("zoo", "verify", "--all", "--proofs=frozen", f"--output={tmp_path}")
    assert {w for words in started for w in words if w[0] != "-"} == names


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "must be followed by a name, a pattern or --all"),
        (["test_sassa"], 1, "Did you mean test_sasa"),
        (["*_translates"], 1, "Received: name='*_translates'"),
        (["test_sasa", "--output=nowhere"], 1, "Received: 'nowhere'"),
        (["test_sasa", "--proofs=frost", "--output=."], 1, "Received: proofs='frost'"),
    ],
)
def test_errors(words, status, message):
    outcome = run_program("zoo", "verify", *words)
    assert outcome.status == status and message in outcome.err


def test_a_commit_is_named_dirty_where_files_differ(tmp_path):
    def git(*words):
        options = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *options, *words], cwd=tmp_path, check=True, capture_output=True)

    assert conditions.commit(tmp_path) is None
    git("init", ".")
    (tmp_path / "zoo" / "x").mkdir(parents=True)
    for name in ("code.py", "zoo/x/proofs.json"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    conditions.commit.cache_clear()
    clean = conditions.commit(tmp_path)
    (tmp_path / "zoo/x/proofs.json").write_text("2")
    conditions.commit.cache_clear()
    assert conditions.commit(tmp_path) == clean and len(clean) >= 7
    (tmp_path / "code.py").write_text("2")
    conditions.commit.cache_clear()
    assert conditions.commit(tmp_path) == f"{clean}-dirty"
    conditions.commit.cache_clear()
