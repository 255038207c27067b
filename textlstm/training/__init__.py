"""One run from data to model folder: fit, resume, distribute, cross-validate.

- `train`: how a training is begun, resumed and ended
- `run`: its steps from data to model folder: read, encode, fit, save
- `self_training`: a run to its end, with the two models of self-training
- `resolve`: what the options left open are for the vectors and texts at hand
- `run_folder`: when a folder may be trained into, and how a run is resumed
- `pretrain`: texts without labels to a base
- `pretrained`: training from a base or from word vectors
- `fit`: encoded texts to a trained and evaluated network
- `fit_ngrams`: n-gram weights, by naive Bayes and logistic regression, or by margins
- `loop`: steps, epochs, checkpoints, resume: of any training
- `trainer`: the loop of a classifier, with its gradients and validation
- `gradients`: the gradients of a batch, of which each process computes a part
- `optimizer`: AdamW, and its step over the rows that a batch read
- `schedule`: learning rate schedule and early stopping
- `validation`: the logits of a split, computed by all processes together
- `checkpoint`: all the state of a run in one file
- `observer`: what a run reports: callbacks and result; its progress
- `tensorboard`: an observer that writes curves (extra `tensorboard`)
- `distributed`: communication between the processes of one training
- `launch`: the rank that `torchrun` gives a process
- `teacher`: what other models say of the training texts
- `distill`: a small model from the probabilities of a larger one
- `tune`: how a search for better settings is begun, resumed and ended
- `tuning`: its trials, one training after the other, and the folder of the best
- `study`: which settings a tuning tries next (extra `tune`: optuna)
- `crossval`: one run per fold, with mean and spread

May import: every folder but `export`, `prediction` and `cli`.
"""
