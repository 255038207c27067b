"""What is no list of texts is refused, with the place of the first that is none."""

import pytest

from textlstm.classifier.texts import checked_texts, in_batches, iterate
from textlstm.errors import ConfigError


@pytest.mark.parametrize("wrong", ["one text", b"bytes", {"a": 1}, 3, None])
def test_what_is_no_list_of_texts_is_shown(wrong):
    for function in (iterate, in_batches, checked_texts):
        with pytest.raises(ConfigError, match=r"texts = .*must be a list of strings") as error:
            function(wrong)
        assert repr(wrong) in str(error.value)


def test_a_long_text_is_shown_in_part():
    with pytest.raises(ConfigError, match=r"texts = 'aaaa.*\.\.\.: must be") as error:
        iterate("a" * 1000)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(("item", "reason"), [(None, "null"), (3, "not a string"), (b"a", "not a")])
def test_the_first_item_that_is_no_text_is_named(item, reason):
    with pytest.raises(ConfigError, match=rf"texts\[2\] = .*{reason}"):
        checked_texts(["a", "b", item, item])


def test_batches_hold_all_texts_in_order_and_count_on():
    texts = [str(number) for number in range(2500)]
    batches = list(in_batches(iter(texts)))
    assert [len(batch) for batch in batches] == [1000, 1000, 500]
    assert [text for batch in batches for text in batch] == texts
    with pytest.raises(ConfigError, match=r"texts\[2500\] = None"):
        list(in_batches([*texts, None]))
