"""What holds for all tests, and for the processes that they start."""

import os

# Tensors are tiny here, and several threads on a busy machine wait for each other far longer
# than they compute. Set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
