"""What holds for all tests, and for the processes that they start."""

import os

import hypothesis

# Tensors are tiny here, and several threads on a busy machine wait for each other far longer
# than they compute. Set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On a busy machine an example may take seconds; slowness is not a failure.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items):
    """Begin with the longest test, or it ends long after all others."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")
