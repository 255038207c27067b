"""Attack textlstm with random inputs and report what it does not survive.

    python scripts/fuzz.py {folders,texts,rows,exports,faults} [--minutes 5] [--seed 1] [--cases N]

    folders   model folders with damaged files, their checksums signed again, are loaded,
              inspected and used
    texts     hostile texts: alone, in a batch and in another order they must get the same scores
    rows      csv, tsv, json lines and parquet with odd values or damaged bytes are labelled; every
              row must come out, with its columns unchanged
    exports   random networks are exported; the export must predict the same
    faults    training and prediction are killed with SIGKILL at a random file and resumed; the
              result must have the same bytes

Each case runs in a forked child with limits of time and memory. Its seed is the seed of the
campaign plus its number, and a finding is printed with the command that repeats it. Findings are
tracebacks, crashes, hangs, memory beyond the limit, wrong results and lost rows; an error that
names the fault of the input is none. The exit code is 1 if there are findings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: children are forked

from fuzz_cases import CAMPAIGNS, Campaign, WrongError

SECONDS = 120  # for one case
MEGABYTES = 1500  # beyond what the process has when the case begins


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        kind: 'ok', 'refused' (an error of ours), or the kind of finding.
        detail: the message or the traceback.
    """

    kind: str
    detail: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether a defect was found."""
        return self.kind not in ("ok", "refused")


def attempt(campaign: Campaign, seed: int, folder: Path) -> Outcome:
    """Run a case in this process and return what became of it."""
    from textlstm import TextLSTMError

    try:
        refusal = campaign.run(seed, folder)
        return Outcome("refused", refusal) if refusal else Outcome("ok")
    except TextLSTMError as error:
        return Outcome("refused", f"{type(error).__name__}: {error}")
    except WrongError as error:
        return Outcome("wrong", str(error))
    except MemoryError:
        return Outcome("memory", traceback.format_exc())
    except BaseException:  # a panic of a Rust library is no Exception
        kind = "memory" if "t allocate memory" in (text := traceback.format_exc()) else "traceback"
        return Outcome(kind, text)


def run_case(campaign: Campaign, seed: int) -> Outcome:
    """Run a case in a child with limits; return what became of it."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.close(reader)
        with open(folder / "output", "wb") as output:  # noqa: PTH123
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEGABYTES * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        (folder / "work").mkdir()
        outcome = attempt(campaign, seed, folder / "work")
        detail = outcome.detail[-4000:]
        if outcome.is_finding:
            sys.stderr.flush()
            detail += "\n" + (folder / "output").read_text(errors="replace")[-1000:]
        os.write(writer, json.dumps([outcome.kind, detail]).encode())
        os._exit(0)
    os.close(writer)
    try:
        return _watch(child, reader, folder)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what the case started
        shutil.rmtree(folder, ignore_errors=True)


def _watch(child: int, reader: int, folder: Path) -> Outcome:
    """Wait for a child up to the limit of time."""
    end = time.monotonic() + SECONDS
    pause = 0.001
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Outcome("hang", f"not done after {SECONDS} s")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    answer = os.read(reader, 1 << 16)
    if not answer:
        said = (folder / "output").read_text(errors="replace")[-1000:]
        return Outcome("crash", f"status {os.waitstatus_to_exitcode(found[1])}: {said}")
    return Outcome(*json.loads(answer))


def run_campaign(name: str, seed: int, *, minutes: float, cases: int | None) -> Counter[str]:
    """Run a campaign and print its findings; return the number of cases of each kind."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        campaign = CAMPAIGNS[name](Path(folder))
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end if cases is None else sum(counts.values()) < cases:
            case = seed + sum(counts.values())
            outcome = run_case(campaign, case)
            counts[outcome.kind] += 1
            if outcome.is_finding:
                print(f"{outcome.kind}: python scripts/fuzz.py {name} --seed {case} --cases 1")
                print("    " + outcome.detail.strip().replace("\n", "\n    "), flush=True)
        tried = sum(counts.values())
        refused = f"{counts['refused']:,} refused with an error of ours"
        found = tried - counts["ok"] - counts["refused"]
        inputs = f" of {campaign.inputs} inputs each" if campaign.inputs > 1 else ""
        print(f"{name}: {tried:,} cases{inputs}, {refused}, {found:,} findings")
    return counts


def main() -> None:
    """Run a campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", choices=list(CAMPAIGNS))
    parser.add_argument("--minutes", type=float, default=5.0, help="(default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first case (default: 1)")
    parser.add_argument("--cases", type=int, help="number of cases, instead of --minutes")
    arguments = parser.parse_args()
    counts = run_campaign(
        arguments.campaign, arguments.seed, minutes=arguments.minutes, cases=arguments.cases
    )
    sys.exit(int(any(Outcome(kind).is_finding for kind in counts)))


if __name__ == "__main__":
    main()
