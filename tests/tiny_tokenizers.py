"""One tiny tokenizer of each kind, and texts on which the kinds' rules turn."""

import re

from hypothesis import strategies as st
from tokenizers import Tokenizer

from textlstm.config import TOKENIZERS, TokenizerConfig
from textlstm.text.tokenizer import TextTokenizer

TEXTS = [
    "The film was great, and it's not dull; I don't regret 1,000.50 dollars!",
    "I can't say the plot wasn't clever.<br /><br />But the acting... the acting was dull.",
    "Great film, great cast, great music: (really) great.",
    "A dull film with a clever plot isn't a great film. <pad> <unk> 😀 naïve café",
]

# Bits on which the rules of some kind turn.
BITS = re.split(
    r"\|",
    "<br />|<BR/>|</br >|<b\"r />|<br|<|br|/>|>|'|’|´|`|``|''|\"|n't|N'T|'s|'ll|don't|can't|a|B|é"
    "|e\u0301|\u0301|\u0338|Σ|ΑΣ|σ|İ|ǅ|1,0|.5|9|.|,|(|)|!|?|;|:|-|-lrb-|-RRB-|_|#|##a|▁|▁a|<pad>"
    "|<unk>|<|pad|[PAD]|😀|👍🏽|👩‍🔬|🇩🇪|中|国|ไ|กั|नि|\x00|\x1c|\x85|\xa0|\u2028|\u200b|\ufeff|\xad"
    "| |  |\t|\n|\r\n| |great| film| the",
)
CODED = st.characters(exclude_categories=["Cs", "Cn"])
NASTY = st.lists(st.one_of(st.sampled_from(BITS), st.text(CODED, max_size=3)), max_size=12)
ANY_TEXT = NASTY.map("".join)


def batches():
    return iter([TEXTS[:1], TEXTS[1:]])


def train(kind="word", texts=None, **options) -> TextTokenizer:
    options = {"min_frequency": 1, "vocab_size": 90, "max_length": 1000, **options}
    source = batches if texts is None else lambda: iter([texts])
    return TextTokenizer.train(source, TokenizerConfig(tokenizer=str(kind), **options))


TRAINED = {kind: train(kind) for kind in TOKENIZERS}
PLAIN = {kind: Tokenizer.from_str(it._tokenizer.to_str()) for kind, it in TRAINED.items()}
