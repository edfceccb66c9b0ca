"""`tatl-client --smoke`: a server, a model and a client on one machine, and nothing left behind."""

import json

from tatl_keras.bin import trained
from tests.bin.conftest import succeed


def test_smoke_asks_a_server_of_its_own(smoke_run, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "smoke_workdir", lambda *_: str(smoke_run))
    rows = [json.loads(line) for line in succeed("client", "--smoke").out.splitlines()]
    assert len(rows) > 1 and all(row["valid"] for row in rows)
    assert all(abs(sum(row["probabilities"]) - 1) < 1e-5 for row in rows)
    told = succeed("client", "--smoke", "--compare=stable,canary").out
    assert "100" in told and "same" in told, told
    assert list(tmp_path.iterdir()) == []
