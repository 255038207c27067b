"""What holds for all tests, and for the processes that they start."""

import functools
import gc
import gettext
import os

import hypothesis
import pytest

# Tensors are tiny here, and several threads on a busy machine wait for each other far longer
# than they compute. Set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On a busy machine an example may take seconds; slowness is not a failure.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


# Each file is one worker's (see scripts/test.sh), so those that take longest begin.
_FIRST = (
    *("test_readme.py", "test_ray.py", "test_torch_export.py", "test_fuzz.py"),
    *("test_distributed.py", "test_end_to_end.py", "test_scripts.py", "test_tune.py"),
    *("test_train.py", "test_estimator_checks.py", "test_study.py", "test_estimator.py"),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One more than processors for slow tests: many wait, for a signal, a kill or a hang."""
    return (os.cpu_count() or 1) + (config.option.markexpr != "not slow")


def pytest_collection_modifyitems(items):
    names = {name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: names.get(item.path.name, len(names)))


def pytest_collection_finish():
    """Leave what is loaded by now out of the search for garbage: an eighth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


# argparse looks for translations of each of its words in the file system.
gettext.find = functools.cache(gettext.find)

# Nothing here must outlive a loss of power, and to wait for the disk takes milliseconds a file.
os.fsync = lambda descriptor: None


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    """Programs that start without loading torch again; see `tiny_forks`."""
    from tiny_forks import Forks

    forks = Forks(tmp_path_factory.mktemp("forks") / "bin")
    yield forks
    forks.close()
