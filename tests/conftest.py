"""What holds for all tests, and for the processes that they start."""

import functools
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


def pytest_collection_modifyitems(items):
    """Begin with the longest test and those that share `forks`, so that one worker has them."""
    items.sort(key=lambda item: "forks" not in getattr(item, "fixturenames", ()))
    items.sort(key=lambda item: item.path.name != "test_readme.py")


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
