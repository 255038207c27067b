"""Rows to labelled splits to encoded ids to batches.

- `corpus`: the splits of texts and labels for training and evaluation
- `sources`: where data comes from: files, folders, the Hub, `sample`, Python objects
- `columns`: the columns of a split, and which of them to use
- `scan`: one pass over a split: usable rows, labels, a hash of all
- `cache`: files of rows to a memory-mapped dataset
- `unlabeled`: rows to learn from without a label, or with a teacher's probabilities
- `teacher_columns`: probabilities of a teacher in columns of the data
- `labels`: label values to names in their order
- `split`: the rows of one split, texts read from disk on demand
- `checks`: what is likely to be wrong with the data or with what was learned
- `stratify`: which rows go to validation, and to which fold
- `encoded`: ids of many texts on disk, and as padded batches of similar length

May import: `text`, `io` and the root modules.
"""
