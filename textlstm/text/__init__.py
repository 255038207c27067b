"""Text to tokens to ids: tokenizers, vocabularies, word vectors.

- `tokenizer`: train, load and save a tokenizer; encode texts
- `pieces`: the different pieces of many texts, each encoded once
- `rules`: how each kind of tokenizer splits a text; tokens counted
- `subwords`: subword models from word counts, the same on every run
- `tokenizer_file`: any `tokenizer.json`, with `<pad>` as 0 and `<unk>` as 1
- `vocabulary`: tokens to ids with counts; text and JSON forms
- `torchtext`: vocabularies of torchtext
- `vector_files`: GloVe, word2vec and fastText files as a stream of rows
- `fasttext_model`: the word vectors of a fastText model
- `named_vectors`: word vectors known by name, fetched once from the Hugging Face Hub
- `word_vectors`: word vectors to the embedding of a vocabulary

May import: `io` and the root modules.
"""
