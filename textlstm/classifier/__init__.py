"""The trained classifier: its folder, its card, the Hub, prediction in memory.

- `classifier`: `TextClassifier`: texts to labels
- `saved_model`: its base: from a folder or the Hub to memory and back, pickled, hashed, described
- `json_files`: its config, metrics and history, checked when read
- `model_folder`: the model folder: written whole, checked when read
- `base`: a tokenizer, embedding and LSTM to start a training from
- `weights`: safetensors files, compared with the expected shapes before they are read
- `model_card`: the model card and the lines of `inspect`
- `markdown`: tables and lists for cards
- `hub`: model folders on the Hugging Face Hub
- `predictor`: encoded texts to probabilities, in batches side by side, as a stream
- `calibrate`: the cascade, fitted on further texts
- `explain`: the contribution of each word to a logit
- `mistakes`: a table of the most confident mistakes
- `report`: a page of figures, pictures and explained mistakes
- `notebook`: what notebooks and terminals show of predictions, figures, epochs, models
- `labelled`: labelled data to evaluate on
- `texts`: texts as callers pass them: checked, in batches
- `labelling`: which column is read, what is added, why a row has no label
- `datasets`: labels as new columns of a dataset

May import: `report`, `evaluation`, `nn`, `data`, `text`, `io` and the root modules.
"""
