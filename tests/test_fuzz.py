"""A small fixed part of the campaigns of `scripts/fuzz.py`, and what they notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def python(code):
    """Run code beside the scripts in a process of its own (cases are forked); return its output."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


NOTICED = """
import json, os, signal, time
import fuzz
from textlstm.errors import DataError
from fuzz_cases import WrongError

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


@pytest.mark.slow
def test_crashes_hangs_and_wrong_results_are_noticed():
    kinds, details = zip(*json.loads(python(NOTICED)), strict=True)
    found = "crash hang wrong traceback memory refused traceback ok"
    assert list(kinds) == found.split()
    assert "-11" in details[0]
    assert "a row is lost" in details[2]
    assert "KeyError" in details[3]
    assert details[5] == "DataError: no such column"


CAMPAIGNS = """
import fuzz
for name, cases in [("folders", 60), ("texts", 15), ("rows", 40), ("exports", 4), ("faults", 2)]:
    fuzz.run_campaign(name, 1, minutes=0, cases=cases)
"""


@pytest.mark.slow
def test_a_fixed_part_of_each_campaign_finds_nothing():
    lines = [line for line in python(CAMPAIGNS).splitlines() if "finding" in line]
    assert [line.split(":")[0] for line in lines] == [
        "folders",
        "texts",
        "rows",
        "exports",
        "faults",
    ]
    assert all(line.endswith(", 0 findings") for line in lines), lines
