"""What the tests of the estimators share: small settings and what a pickle holds."""

import pickletools

SMALL = {
    "ngrams": 0,
    "embedding_size": 8,
    "hidden_size": 8,
    "num_layers": 1,
    "epochs": 8,
    "batch_size": 40,
    "learning_rate": 0.1,
    "adversarial": 0.0,
    "precision": "fp32",
    "threads": 1,
    "device": "cpu",
}


def modules_in(pickled):
    """The modules whose names a pickle has loaded."""
    strings, found = [], set()
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            found.add(argument.split()[0])
        elif opcode.name == "STACK_GLOBAL":
            found.add(strings[-2])
        elif isinstance(argument, str):
            strings.append(argument)
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            strings.append("")  # of a name that was met before
    return {name.split(".")[0] for name in found}
