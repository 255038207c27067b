"""The network: tensors only, no files and no text.

- `bilstm`: the bidirectional LSTM over true lengths
- `network`: embedding, LSTM, pooling and linear layer
- `pooling`: the states of a text to one vector
- `embedding`: a lookup whose backward pass costs what the batch has, not the vocabulary
- `dropout`: dropout with one random byte per number
- `ngrams`: the linear model of n-grams beside the LSTM
- `loss`: cross entropy with class weights and label smoothing
- `probabilities`: logits to probabilities to labels
- `device`: device, threads, seed
- `memory`: how freed memory is kept or returned

May import: the root modules.
"""
