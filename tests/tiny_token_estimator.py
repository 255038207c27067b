"""The text estimator on rows of token ids, so that scikit-learn's own checks can run on it.

Shapes: N rows, T ids of a row, C classes, V known ids.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from textlstm import TextLSTMClassifier
from textlstm.classifier.predictor import predict_texts
from textlstm.classifier.saved_model import pack, unpack
from textlstm.data.encoded import EncodedTexts
from textlstm.estimator import read_targets
from textlstm.text.vocabulary import PAD_ID, UNK_ID

FIRST_ID = 2  # after <pad> and <unk>


class TokenIdClassifier(TextLSTMClassifier):
    """`TextLSTMClassifier` on texts that are numbers already, [N, T].

    Each number is a token of its own; 0 fills up short rows and is skipped. Numbers that `fit`
    did not meet read as one unknown token, as does a row of zeros alone.
    """

    def fit(self, X, y, sample_weight=None):  # noqa: N803
        settings = self._settings()
        rows = validate_data(self, X)  # [N, T]
        targets = read_targets(rows, y, sample_weight, settings)
        tokens = np.unique(rows[targets.train])
        self.tokens_ = tokens[tokens != 0]  # [V]
        encoded = {name: self._encode(rows[part]) for name, part in targets.parts().items()}
        size = len(self.tokens_) + FIRST_ID
        self.model_ = self._train(targets, encoded, settings, vocab_size=size).model
        return self

    def predict_proba(self, X):  # noqa: N803
        check_is_fitted(self)
        encoded = self._encode(validate_data(self, X, reset=False))
        return predict_texts(self.model_, encoded)[0]

    def _encode(self, rows):
        places = np.searchsorted(self.tokens_, rows)  # [N, T]
        ids = np.where(np.isin(rows, self.tokens_), places + FIRST_ID, UNK_ID)
        ids[rows == 0] = PAD_ID
        ids[(rows == 0).all(axis=1), 0] = UNK_ID
        return EncodedTexts.from_batches([(ids[ids != PAD_ID], (ids != PAD_ID).sum(axis=1))])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = BaseEstimator().__sklearn_tags__().input_tags
        tags.input_tags.categorical = True
        return tags

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = pack(self.model_)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "model_" in state:
            self.model_ = unpack(state["model_"])
