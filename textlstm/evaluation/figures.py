"""The overall figures of an evaluation, in words."""

FIGURES = {
    "n": "texts",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "hamming_loss": "hamming loss",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "samples_f1": "samples F1",
    "log_loss": "log loss",
    "ece": "calibration error",
}
"""Key in the result of `evaluate_probabilities` -> the words for it."""
