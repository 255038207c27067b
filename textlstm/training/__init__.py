"""One run from data to model folder: fit, resume, distribute, cross-validate.

- `train`: one whole run from data to model folder
- `fit`: encoded texts to a trained and evaluated network
- `trainer`: the loop: steps, epochs, checkpoints, resume
- `gradients`: the gradients of a batch, of which each process computes a part
- `optimizer`: AdamW, and its step over the rows that a batch read
- `schedule`: learning rate schedule and early stopping
- `checkpoint`: all the state of a run in one file
- `distributed`: communication between the processes of one training
- `launch`: the rank that `torchrun` gives a process
- `validation`: a split evaluated by all processes together
- `fit_ngrams`: n-gram weights, by naive Bayes and logistic regression
- `observer`: what a training run reports
- `run_folder`: when a folder may be trained into, and how a run is resumed
- `pretrained`: a run that starts from word vectors
- `crossval`: one run per fold, with mean and spread

May import: every folder but `export`, `prediction` and `cli`.
"""
