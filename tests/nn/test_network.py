"""The classifier: what it reads, what it must not read, and that it learns order.

Shapes: B batch, T time, H hidden, D directions.
"""

import pytest
import torch
from tiny_classifier import needs_bf16
from torch import nn

from textlstm import BiLSTMClassifier
from textlstm.config import ModelConfig
from textlstm.nn.network import parameter_shapes

POOLINGS = ("final", "max", "final+max", "mean", "attention")
SMALL = {"embedding_size": 8, "hidden_size": 6}


def make(**options):
    torch.manual_seed(0)
    model = BiLSTMClassifier(ModelConfig(**{**SMALL, **options}), vocab_size=30, num_classes=3)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    with torch.no_grad():
        model.embedding.weight[0] = 0
        if model.ngrams is not None:
            nn.init.normal_(model.ngrams.table[1:])
            model.scales[:] = torch.tensor([0.7, 1.3])
    return model.eval()


def batch(lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    texts = [torch.randint(2, 30, (length,), generator=generator) for length in lengths]
    return nn.utils.rnn.pad_sequence(texts, batch_first=True), torch.tensor(lengths)


@pytest.mark.slow
@pytest.mark.parametrize("two_way", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_texts_logits_depend_on_no_padding_batch_or_order(pooling, two_way):
    model = make(pooling=pooling, bidirectional=two_way)
    ids, lengths = batch([5, 12, 1, 7])
    with torch.no_grad():
        together = model(ids, lengths)
        padded = model(nn.functional.pad(ids, (0, 40)), lengths)
        order = torch.tensor([2, 0, 3, 1])
        shuffled = model(ids[order], lengths[order])
        alone = torch.cat(
            [model(ids[i : i + 1, : lengths[i]], lengths[i : i + 1]) for i in range(4)]
        )
    torch.testing.assert_close(padded, together, atol=1e-5, rtol=0)
    torch.testing.assert_close(shuffled, together[order], atol=1e-5, rtol=0)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def by_hand(model, ids, length):
    """All layers' states of one text without padding, by a plain nn.LSTM."""
    config = model.config
    plain = nn.LSTM(
        config.embedding_size, config.hidden_size, config.num_layers, bidirectional=True
    )
    plain.load_state_dict(model.lstm.state_dict())
    output, (h_n, _) = plain(model.embedding(ids[:length]))  # [T, 2H], [2L, H]
    return output, h_n


def test_final_is_the_last_layers_forward_state_at_the_end_and_backward_state_at_the_start():
    model = make(pooling="final", ngrams=0)
    ids, lengths = batch([5, 12])
    with torch.no_grad():
        logits = model(ids, lengths)
        for text in range(2):
            output, h_n = by_hand(model, ids[text], lengths[text])
            expected = model.linear(torch.cat([h_n[-2], h_n[-1]]))
            torch.testing.assert_close(logits[text], expected, atol=1e-5, rtol=0)
            also = model.linear(torch.cat([output[-1, :6], output[0, 6:]]))
            torch.testing.assert_close(logits[text], also, atol=1e-5, rtol=0)


def test_by_default_final_states_and_maxima_are_both_read_final_first():
    model = make(ngrams=0)
    assert model.config.pooling == "final+max"
    ids, lengths = batch([5, 12])
    with torch.no_grad():
        logits = model(ids, lengths)[0]
        output, h_n = by_hand(model, ids[0], lengths[0])
        both = torch.cat([h_n[-2], h_n[-1], output.amax(0)])
        torch.testing.assert_close(logits, model.linear(both), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda output, h_n, padded: padded[-1],  # the states after padding
        lambda output, h_n, padded: output[-1],  # the backward state that saw one token
        lambda output, h_n, padded: torch.cat([h_n[-1], h_n[-1]]),  # one direction twice
        lambda output, h_n, padded: torch.cat([h_n[-1], h_n[-2]]),  # directions exchanged
        lambda output, h_n, padded: torch.cat([h_n[0], h_n[1]]),  # the first layer's states
    ],
    ids=["out[:, -1]", "true last step", "one state twice", "exchanged", "first layer"],
)
def test_final_differs_from_the_common_wrong_readings(wrong):
    model = make(pooling="final", ngrams=0)
    ids, lengths = batch([5, 12])
    with torch.no_grad():
        logits = model(ids, lengths)[0]
        output, h_n = by_hand(model, ids[0], lengths[0])
        padded, _ = by_hand(model, ids[0], 12)
        mistaken = model.linear(wrong(output, h_n, padded))
    assert (logits - mistaken).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("max", lambda states: states.amax(0)), ("mean", lambda states: states.mean(0))],
)
def test_max_and_mean_are_over_true_tokens(pooling, expected):
    model = make(pooling=pooling, ngrams=0)
    ids, lengths = batch([5, 12])
    with torch.no_grad():
        logits = model(ids, lengths)[0]
        output, _ = by_hand(model, ids[0], lengths[0])
        torch.testing.assert_close(logits, model.linear(expected(output)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("least", [1, 3, 4])
def test_max_is_the_same_where_padding_is_looked_for_only_after_the_shortest_text(least):
    torch.manual_seed(0)
    lengths = torch.tensor([4, least, 4])
    pooling = make(pooling="max", ngrams=0).pooling
    found = []
    for known in (0, least):
        states = [torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(1))] * 2
        states[0][0, 2] = states[0][0].amax(0)  # two are the greatest, and share the gradient
        states[0][1, least:] = states[0][1, :least].amax(0)  # padding
        states[0] = states[0].requires_grad_()
        pooled = pooling(states, lengths, known)
        pooled.square().sum().backward()
        found.append((pooled, states[0].grad))
    for plain, faster in zip(*found, strict=True):
        assert torch.equal(plain, faster)


def test_max_of_negative_states_is_negative_in_spite_of_zero_padding():
    model = make(pooling="max", ngrams=0)
    states = [torch.full((2, 4, 6), -0.5)] * 2
    pooled = model.pooling(states, torch.tensor([2, 4]))
    assert torch.equal(pooled, torch.full((2, 12), -0.5))


def test_attention_weighs_true_tokens_by_their_scores():
    model = make(pooling="attention", ngrams=0)
    ids, lengths = batch([5, 12])
    pooling = model.pooling
    with torch.no_grad():
        logits = model(ids, lengths)[0]
        output, _ = by_hand(model, ids[0], lengths[0])
        scores = torch.tanh(output @ pooling.hidden.weight.T + pooling.hidden.bias)
        weights = (scores @ pooling.score.weight[0]).softmax(0)
        expected = model.linear((weights[:, None] * output).sum(0))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_gets_a_gradient(pooling):
    model = make(pooling=pooling).train()
    ids, lengths = batch([5, 12, 3])
    nn.functional.cross_entropy(model(ids, lengths), torch.tensor([0, 1, 2])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_padding_row_is_zero_and_gets_no_gradient():
    torch.manual_seed(0)
    model = BiLSTMClassifier(ModelConfig(**SMALL), vocab_size=30, num_classes=2)
    ids, lengths = batch([2, 9])
    model(ids, lengths).sum().backward()
    assert not model.embedding.weight[0].any()
    assert not model.embedding.weight.grad[0].any()


@pytest.mark.parametrize("kind", ["word_dropout", "embedding_dropout", "dropout", "output_dropout"])
def test_each_dropout_acts_in_training_and_not_in_evaluation(kind):
    off = {"word_dropout": 0, "embedding_dropout": 0, "dropout": 0, "output_dropout": 0}
    ids, lengths = batch([5, 12])
    silent = make(**off).train()
    assert torch.equal(silent(ids, lengths), silent(ids, lengths))
    model = make(**{**off, kind: 0.5})
    assert torch.equal(model(ids, lengths), model(ids, lengths))
    model.train()
    assert not torch.equal(model(ids, lengths), model(ids, lengths))


def test_word_dropout_reads_tokens_as_unknown_and_leaves_padding_alone():
    from textlstm.nn.network import _word_dropout

    torch.manual_seed(0)
    ids, _ = batch([4000, 1])
    dropped = _word_dropout(ids, 0.25)
    changed = dropped != ids
    assert 800 < changed.sum() < 1200
    assert (dropped[changed] == 1).all()
    assert not dropped[1, 1:].any()


@needs_bf16
def test_bf16_gives_the_labels_of_fp32():
    model = make()
    ids, lengths = batch([5, 12, 3, 40, 17])
    with torch.no_grad():
        exact = model(ids, lengths)
        model.compute_dtype = torch.bfloat16
        rough = model(ids, lengths)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


@pytest.mark.slow
def test_it_learns_which_of_two_words_came_first():
    """No bag of words can: each text holds both words once."""
    torch.manual_seed(3)
    config = ModelConfig(embedding_size=16, hidden_size=16, num_layers=1, word_dropout=0.0)
    model = BiLSTMClassifier(config, vocab_size=20, num_classes=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def texts(count):
        ids = torch.randint(4, 20, (count, 12))
        lengths = torch.randint(4, 13, (count,))
        ids[torch.arange(12) >= lengths[:, None]] = 0
        places = torch.stack([torch.randperm(int(n))[:2].sort().values for n in lengths])
        label = torch.randint(0, 2, (count,))
        rows = torch.arange(count)
        ids[rows, places[:, 0]] = 2 + label
        ids[rows, places[:, 1]] = 3 - label
        return ids, lengths, label

    for _ in range(150):
        ids, lengths, label = texts(64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(ids, lengths), label).backward()
        optimizer.step()
    ids, lengths, label = texts(500)
    with torch.no_grad():
        accuracy = (model.eval()(ids, lengths).argmax(1) == label).float().mean()
    assert accuracy > 0.98


def test_logits_are_the_sum_of_the_branches_each_times_its_scale():
    model = make()
    ids, lengths = batch([5, 12, 1])
    with torch.no_grad():
        lstm, ngrams = model.branches(ids, lengths)
        torch.testing.assert_close(model(ids, lengths), 0.7 * lstm + 1.3 * ngrams)
        torch.testing.assert_close(lstm, model.lstm_logits(ids, lengths))
        torch.testing.assert_close(ngrams, model.ngrams(ids, lengths))
        alone = make(ngrams=0)
        torch.testing.assert_close(alone(ids, lengths), lstm)


def test_word_dropout_leaves_the_ngrams_as_they_are():
    model = make(word_dropout=0.9).train()
    ids, lengths = batch([9, 12])
    torch.manual_seed(1)
    first = model.branches(ids, lengths)
    second = model.branches(ids, lengths)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("two_way", "ngrams", "rank"), [(True, 2, 0), (False, 0, 0), (True, 1, 0), (True, 2, 4)]
)
def test_the_shapes_of_a_network_are_known_without_it(pooling, two_way, ngrams, rank):
    options = {"bidirectional": two_way, "ngrams": ngrams, "ngram_rank": rank}
    model = make(pooling=pooling, ngram_buckets=7, **options)
    shapes = dict(parameter_shapes(model.config, vocab_size=30, num_classes=3))
    assert shapes == {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
