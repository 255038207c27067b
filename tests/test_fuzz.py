"""A small fixed part of the campaigns of `scripts/fuzz.py`, and what they notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


PROGRAM = """
import json, os, signal, time
import fuzz
import torch
from textlstm.errors import DataError
from fuzz_cases import WrongError

torch.optim.SGD([torch.zeros(1)], 0.1)  # loads much, which each child would load again
for name, cases in [("folders", 60), ("texts", 15), ("rows", 40), ("exports", 4), ("faults", 2)]:
    fuzz.run_campaign(name, 1, minutes=0, cases=cases)

class Attack:
    def run(self, seed, folder):
        if seed == 0: os.kill(os.getpid(), signal.SIGSEGV)
        if seed == 1: time.sleep(60)
        if seed == 2: raise WrongError("a row is lost")
        if seed == 3: return {}["key"]
        if seed == 4: bytearray(10 ** 10)
        if seed == 5: raise DataError("no such column")
        if seed == 6: print("said"); raise BaseException("a panic")
        return ""

fuzz.SECONDS = 2
print(json.dumps([[(o := fuzz.run_case(Attack(), n)).kind, o.detail] for n in range(8)]))
"""


@pytest.fixture(scope="module")
def lines():
    """What a process of its own prints beside the scripts (cases are forked)."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_crashes_hangs_and_wrong_results_are_noticed(lines):
    kinds, details = zip(*json.loads(lines[-1]), strict=True)
    found = "crash hang wrong traceback memory refused traceback ok"
    assert list(kinds) == found.split()
    assert "-11" in details[0]
    assert "a row is lost" in details[2]
    assert "KeyError" in details[3]
    assert details[5] == "DataError: no such column"


def test_a_fixed_part_of_each_campaign_finds_nothing(lines):
    lines = [line for line in lines if "finding" in line]
    names = ["folders", "texts", "rows", "exports", "faults"]
    assert [line.split(":")[0] for line in lines] == names
    assert all(line.endswith(", 0 findings") for line in lines), lines
