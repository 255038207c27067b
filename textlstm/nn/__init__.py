"""The network: tensors only, no files and no text.

- `bilstm`: the bidirectional LSTM over true lengths
- `network`: embedding, LSTM, pooling and linear layer
- `layers`: an embedding with sparse gradients, a cheap dropout, pooling
- `language_model`: embedding and LSTM that predict hidden tokens
- `ngrams`: the linear model of n-grams beside the LSTM
- `loss`: cross entropy with class weights and label smoothing
- `optimizers`: AdamW and L-BFGS that load quickly
- `probabilities`: logits to probabilities to labels
- `cpu`: what the processor can do
- `device`: device, threads, seed
- `memory`: how freed memory is kept or returned

May import: the root modules.
"""
