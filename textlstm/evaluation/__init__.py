"""Probabilities to figures.

- `figures`: figures as rows of words, for terminals and cards
- `metrics`: accuracy, F1 and others, by scikit-learn
- `reliability`: how often answers are right beside how sure the model is
- `reports`: the same as scikit-learn's report and as flat dictionaries
- `tables`: plain-text tables, aligned also with wide characters
- `calibration`: how much each branch counts and how sure the model is, fitted on validation
- `cascade`: when the n-grams alone label a text, and what that changes
- `mistakes`: the most confident mistakes, and likely errors of the labels
- `thresholds`: the decision threshold of each label, by its F1

May import: `nn` and the root modules.
"""
