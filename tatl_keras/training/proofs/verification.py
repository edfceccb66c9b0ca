"""What came of the proofs of one entry."""

import dataclasses
import os

from tatl_keras.training.proofs import PROOFS
from tatl_keras.training.workdir import write_json

FILE = "proofs.json"


@dataclasses.dataclass(frozen=True)
class Verification:
    """The outcome of each proof of an entry. Made by `verify`.

    Args:
        name: the entry's name.
        proofs: dict from proof to a dict with `passed` (`None` where it could not be checked),
            `result` and `bound`, or the `reason` why not; `facts`, and `measured` where something
            depends on the machine.
        weights: dict from modality to what weights were taken: "carried", "random", "learned", …
        conditions: dict with `date`, `commit`, `device` and `versions`.

    Example:

    >>> from tatl_keras import training
    >>> done = training.verify("test_clip_class_texts", proofs=("input_sizes",))
    >>> done.passed, done.proofs["input_sizes"]["result"]
    (True, 'pictures 32 × 32, no other size; texts of 64 tokens, up to 77 tokens')
    """

    name: str
    proofs: dict
    weights: dict
    conditions: dict

    @property
    def failed(self):
        """List of the names of proofs that failed."""
        return [name for name, proof in self.proofs.items() if proof["passed"] is False]

    @property
    def passed(self):
        """Bool: no proof failed."""
        return not self.failed

    def __str__(self):
        lines = [
            f"{self.name}: {'failed ' + ', '.join(self.failed) if self.failed else 'verified'}"
        ]
        words = {True: "passed", False: "FAILED", None: "not checked"}
        for name, proof in self.proofs.items():
            said = proof.get("result") or proof.get("reason")
            lines.append(f"  {name:<12} {words[proof['passed']]:<12} {said}")
        return "\n".join(lines)

    def save(self, folder):
        """Writes `<folder>/<name>/proofs.json`.

        Args:
            folder: such as zoo; folders are made where there are none.

        Returns:
            The path.
        """
        path = os.path.join(folder, self.name, FILE)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_json(path, dataclasses.asdict(self))
        return path

    def differences(self, written):
        """What an earlier verification says otherwise; numbers of the machine aside.

        Args:
            written: dict as `proofs.json` holds it.

        Returns:
            List of str, one a difference; empty where all is as it was.
        """
        found = []
        for name, now in self.proofs.items():
            was = written["proofs"].get(name)
            if was is None or was["passed"] != now["passed"]:
                said = "was not made" if was is None else f"had passed={was['passed']}"
                found.append(f"{name} {said}, now passed={now['passed']}: {now.get('reason', '')}")
            elif now["passed"] and hasattr(PROOFS[name], "differences"):
                pair = was["measured"], now["measured"]
                found += [f"{name}: {each}" for each in PROOFS[name].differences(*pair)]
            elif now["passed"] and was["facts"] != now["facts"]:
                found.append(f"{name}: {', '.join(_changed(was['facts'], now['facts']))} changed")
        return found


def _changed(was, now):
    """Names of facts that differ, or that one side lacks."""
    sides = ({key: (value,) for key, value in facts.items()} for facts in (was, now))
    first, second = sides
    return sorted(key for key in first | second if first.get(key) != second.get(key))
