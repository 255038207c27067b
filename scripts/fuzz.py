"""Attack textlstm with random inputs and report what it does not survive.

    python scripts/fuzz.py {folders,texts,rows,exports,faults} [--minutes 5] [--seed 1] [--cases N]

    folders   model folders, bases and ONNX folders with damaged files, their checksums signed
              again, are loaded, described and used
    texts     hostile texts: alone, in a batch and in another order they must get the same scores
    rows      csv, tsv, json lines and parquet with odd values or damaged bytes are labelled; every
              row must come out with the label it has alone and with its columns unchanged
    exports   random networks are exported; the export must predict the same
    faults    commands are killed at a random operation on a file or a random moment, and resumed;
              the result must have the same bytes

Cases run one after the other in a forked child with limits of time and memory; after a crash or a
hang the next child begins at the next case. The seed of a case is the seed of the campaign plus
its number. A finding is repeated in a child of its own and printed with the command that repeats
it. Findings are tracebacks, crashes, hangs, memory beyond a small multiple of the input, wrong
results and lost rows; an error that names the fault of the input is none. The exit code is 1 if
there are findings.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: children are forked
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from fuzz_cases import CAMPAIGNS
from fuzz_inputs import Campaign, WrongError

SECONDS = 120  # for one case
MEGABYTES = 1500  # of addresses, beyond what the process has when the case begins
PEAK = (200, 50)  # megabytes in use, beyond that and this many times the input
NOTE_MINUTES = 5


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        kind: 'ok', 'refused' (an error of ours), or the kind of finding.
        detail: the message or the traceback.
        inputs: how many it tried.
    """

    kind: str
    detail: str = ""
    inputs: int = 1

    @property
    def is_finding(self) -> bool:
        """Whether a defect was found."""
        return self.kind not in ("ok", "refused")


def attempt(campaign: Campaign, seed: int, folder: Path) -> Outcome:
    """Run a case in this process and return what became of it."""
    from textlstm import TextLSTMError

    try:
        return Outcome("ok", inputs=campaign.run(seed, folder))
    except TextLSTMError as error:
        return Outcome("refused", f"{type(error).__name__}: {error}")
    except WrongError as error:
        return Outcome("wrong", str(error))
    except MemoryError:
        return Outcome("memory", traceback.format_exc())
    except BaseException:  # a panic of a Rust library is no Exception
        kind = "memory" if "t allocate memory" in (text := traceback.format_exc()) else "traceback"
        return Outcome(kind, text)


def measured(campaign: Campaign, seed: int, folder: Path) -> Outcome:
    """Run a case with a limit of addresses; memory far beyond its files is a finding."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    outcome = attempt(campaign, seed, folder)
    used = (_kilobytes("VmHWM") - before) / 1024
    files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    if used > PEAK[0] + PEAK[1] * files and not outcome.is_finding:
        return Outcome("memory", f"{used:.0f} MB for {files:.1f} MB of files; {outcome.detail}")
    return outcome


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def run_cases(campaign: Campaign, seeds: range) -> Iterator[Outcome]:
    """Run cases in a child; yield what became of each, a crash or a hang as the last."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _work(campaign, seeds, folder, writer)
    os.close(writer)
    try:
        pending = b""
        for _ in seeds:
            while b"\n" not in pending:
                if not select.select([reader], [], [], SECONDS)[0]:
                    yield Outcome("hang", f"not done after {SECONDS} s")
                    return
                if not (data := os.read(reader, 1 << 16)):
                    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                    child = 0
                    said = (folder / "output").read_text(errors="replace")[-1000:]
                    yield Outcome("crash", f"status {status}: {said}")
                    return
                pending += data
            line, pending = pending.split(b"\n", 1)
            yield Outcome(*json.loads(line))
    finally:
        os.close(reader)
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # and what its cases started
            os.waitpid(child, 0)
        shutil.rmtree(folder, ignore_errors=True)


def _work(campaign: Campaign, seeds: range, folder: Path, writer: int) -> None:
    """Run cases and write what became of each to a pipe; does not return."""
    os.setsid()
    output = os.open(folder / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for seed in seeds:
        os.truncate(output, 0)
        (folder / "work").mkdir()
        outcome = measured(campaign, seed, folder / "work")
        detail = outcome.detail[-4000:]
        if outcome.is_finding:
            sys.stderr.flush()
            detail += "\n" + (folder / "output").read_text(errors="replace")[-1000:]
        shutil.rmtree(folder / "work")
        os.write(writer, json.dumps([outcome.kind, detail, outcome.inputs]).encode() + b"\n")
    os._exit(0)


def run_case(campaign: Campaign, seed: int) -> Outcome:
    """Run a case in a child of its own; return what became of it."""
    return next(run_cases(campaign, range(seed, seed + 1)))


def run_campaign(name: str, seed: int, *, minutes: float, cases: int | None) -> Counter[str]:
    """Run a campaign and print its findings; return the number of cases of each kind."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        campaign = CAMPAIGNS[name](Path(folder))
        gc.freeze()  # a collection in a child would copy every page
        start = note = time.monotonic()
        case, inputs = seed, 0

        def summary() -> str:
            refused = f"{counts['refused']:,} refused with an error of ours"
            found = case - seed - counts["ok"] - counts["refused"]
            of = f" with {inputs:,} {campaign.unit}" if campaign.unit else ""
            return f"{name}: {case - seed:,} cases{of}, {refused}, {found:,} findings"

        while time.monotonic() < start + 60 * minutes if cases is None else case < seed + cases:
            first = case
            last = (
                first + campaign.batch
                if cases is None
                else min(first + campaign.batch, seed + cases)
            )
            for outcome in run_cases(campaign, range(first, last)):
                counts[outcome.kind] += 1
                inputs += outcome.inputs
                if outcome.is_finding:
                    _report(campaign, name, first, case, outcome)
                case += 1
            if time.monotonic() > note + 60 * NOTE_MINUTES:
                note = time.monotonic()
                print(f"so far {summary()}", flush=True)
        print(summary(), flush=True)
    return counts


def _report(campaign: Campaign, name: str, first: int, case: int, outcome: Outcome) -> None:
    """Print a finding with the command that repeats it: alone, or else after those before."""
    alone = run_case(campaign, case)
    seed = case if alone.is_finding or case == first else first
    outcome = alone if alone.is_finding else outcome
    print(f"{outcome.kind}: python scripts/fuzz.py {name} --seed {seed} --cases {case - seed + 1}")
    print("    " + outcome.detail.strip().replace("\n", "\n    "), flush=True)


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
