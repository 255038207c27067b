"""A small fixed part of the campaigns of `scripts/fuzz.py`, and what they notice."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NAMES = ("folders", "texts", "rows", "exports", "faults")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


PROGRAM = """
import os, signal, time
import fuzz
import torch
from fuzz_cases import CAMPAIGNS
from fuzz_faults import Faults
from fuzz_inputs import WrongError
from textlstm.errors import DataError

Faults.commands = {name: Faults.commands[name] for name in ("train", "predict", "export-weights")}
for name, cases in [("folders", 80), ("texts", 10), ("rows", 30), ("exports", 3), ("faults", 4)]:
    fuzz.run_campaign(name, 1, minutes=0, cases=cases)

class Attack:
    batch, unit = 100, ""
    def __init__(self, folder): self.tried = 0
    def run(self, seed, folder):
        self.tried += 1
        if seed == 0: os.kill(os.getpid(), signal.SIGSEGV)
        if seed == 1: time.sleep(60)
        if seed == 2: raise WrongError("a row is lost")
        if seed == 3: return {}["key"]
        if seed == 4: bytearray(10 ** 10)
        if seed == 5: bytearray(b"x") * (100 << 20)
        if seed == 6: raise DataError("no such column")
        if seed == 7: print("said"); raise BaseException("a panic")
        if seed == 9 and self.tried > 1: raise WrongError("the case before has left a trace")
        return 1

fuzz.SECONDS, fuzz.PEAK = 4, (50, 50)
CAMPAIGNS["attack"] = Attack
fuzz.run_campaign("attack", 0, minutes=0, cases=10)
"""


@pytest.fixture(scope="module")
def output():
    """What a process of its own prints beside the scripts (cases are forked)."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_crashes_hangs_and_wrong_results_are_noticed(output):
    found = [line for line in output.splitlines() if "fuzz.py attack" in line]
    seeds = {0: "crash", 1: "hang", 2: "wrong", 3: "traceback", 4: "memory", 5: "memory"}
    expected = [
        f"{kind}: python scripts/fuzz.py attack --seed {n} --cases 1"
        for n, kind in {**seeds, 7: "traceback"}.items()
    ]
    expected.append("wrong: python scripts/fuzz.py attack --seed 2 --cases 8")
    assert found == expected
    for said in ("status -11", "a row is lost", "KeyError", "MB for 0.0 MB", "a panic"):
        assert said in output
    assert output.endswith("attack: 10 cases, 1 refused with an error of ours, 8 findings\n")


def test_a_fixed_part_of_each_campaign_finds_nothing(output):
    lines = [line for line in output.splitlines() if line.endswith("findings")][:-1]
    assert [line.split(":")[0] for line in lines] == list(NAMES)
    assert all(line.endswith(", 0 findings") for line in lines), output
