"""The loop learns, tells what it does, stops when it should, and goes on bit for bit."""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_classifier import needs_bf16
from tiny_training import (
    NAMES,
    TIMES,
    TRAIN,
    VALIDATION,
    TinyModel,
    equal,
    texts,
    timeless,
    trainer,
    weights,
)
from torch import nn

from textlstm.config import SCHEDULES, ModelConfig
from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate, train_batches
from textlstm.errors import ConfigError, DataError, ModelFolderError, TrainingError
from textlstm.nn.device import seed_everything
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training import loop as loop_module
from textlstm.training.checkpoint import load_checkpoint, save_checkpoint
from textlstm.training.gradients import BatchGradients
from textlstm.training.observer import Observer
from textlstm.training.schedule import Schedule

pytestmark = pytest.mark.slow

UNLABELED = texts(24, seed=3)


class StopAt(Observer):
    """Asks the trainer to stop after a step, in an evaluation or after an epoch."""

    def __init__(self, *, step=None, evaluation=None, epoch=None):
        self.step, self.evaluation, self.epoch = step, evaluation, epoch
        self.evaluations = 0
        self.trainer = None

    def on_step(self, step, epoch, loss, texts):
        if step == self.step:
            self.trainer.stop()

    def on_evaluate(self, done, total):
        self.evaluations += done == 8  # the first batch
        if self.evaluations == self.evaluation:
            self.trainer.stop()

    def on_epoch(self, record):
        if record["epoch"] == self.epoch:
            self.trainer.stop()


class Notes(Observer):
    """Writes down all that it is told."""

    def __init__(self):
        self.told = []

    def on_start(self, total_steps, step, epochs):
        self.told.append(("start", total_steps, step, epochs))

    def on_step(self, step, epoch, loss, texts):
        self.told.append(("step", step, epoch, loss, texts))

    def on_evaluate(self, done, total):
        self.told.append(("evaluate", done, total))

    def on_epoch(self, record):
        self.told.append(("epoch", record))

    def on_checkpoint(self, path):
        self.told.append(("checkpoint", path))

    def on_stop(self, result):
        self.told.append(("stop", result))

    def of(self, kind):
        return [entry for entry in self.told if entry[0] == kind]


def small_bilstm():
    shape = ModelConfig(embedding_size=6, hidden_size=5, num_layers=2, pooling="attention")
    return BiLSTMClassifier(shape, vocab_size=20, num_classes=2)


def lose_the_random_state():
    seed_everything(987)
    torch.rand(5)


def stopped_and_resumed(folder, stops, make_model=TinyModel, **options):
    """Run with a stop at each of `stops`, a new trainer and a new model after each."""
    seed_everything(1)
    for number, stop in enumerate([*stops, StopAt()]):
        run = trainer(folder, model=make_model(), observer=stop, **options)
        stop.trainer = run
        if number:
            run.resume()
        lose_the_random_state()
        if stop.step == 0:
            run.stop()
        result = run.run()
        assert (result.reason == "interrupted") == (number < len(stops))
    return run, result


def assert_same_end(folder_a, folder_b):
    """The checkpoints hold the same: weights, best weights, optimizer, random state, history."""
    one, other = (load_checkpoint(f / "checkpoint.safetensors") for f in (folder_a, folder_b))
    for group, tensors in one.tensors.items():
        assert tensors, group
        assert equal(tensors, other.tensors[group]), group
    for state in (one.state, other.state):
        state["history"] = timeless(state["history"])
        del state["progress"]["seconds"]
    assert one.state == other.state
    files = [(f / "history.jsonl").read_text().splitlines() for f in (folder_a, folder_b)]
    assert timeless(map(json.loads, files[0])) == timeless(map(json.loads, files[1]))


STOPS = {
    "before the first step": [StopAt(step=0)],
    "in the middle of an epoch": [StopAt(step=9)],
    "after the last step of an epoch": [StopAt(step=12)],
    "in an evaluation": [StopAt(evaluation=2)],
    "after an epoch": [StopAt(epoch=2)],
    "three times": [StopAt(step=2), StopAt(step=8), StopAt(step=13)],
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("when", STOPS)
def test_a_resumed_run_is_bit_for_bit_the_straight_one(tmp_path, schedule, when):
    options = {"schedule": schedule, "learning_rate": 0.5, "patience": 9}
    straight = trainer(tmp_path / "straight", **options)
    expected = straight.run()
    for stop in STOPS[when]:
        stop.evaluations = 0
    run, result = stopped_and_resumed(tmp_path / "resumed", STOPS[when], **options)
    assert equal(weights(run.model), weights(straight.model))
    assert timeless(result.history) == timeless(expected.history)
    assert (result.best_epoch, result.best_metrics) == (expected.best_epoch, expected.best_metrics)
    assert result.steps == expected.steps == 24
    assert_same_end(tmp_path / "straight", tmp_path / "resumed")


def test_the_real_model_resumes_bit_for_bit(tmp_path):
    options = {"epochs": 2, "learning_rate": 0.01}
    seed_everything(1)
    straight = trainer(tmp_path / "straight", model=small_bilstm(), **options)
    straight.run()
    run, _ = stopped_and_resumed(tmp_path / "resumed", [StopAt(step=8)], small_bilstm, **options)
    assert equal(weights(run.model), weights(straight.model))
    assert_same_end(tmp_path / "straight", tmp_path / "resumed")


def test_patience_and_best_weights_survive_a_stop(tmp_path):
    options = {"epochs": 50, "patience": 3, "learning_rate": 0.3, "schedule": "plateau"}
    straight = trainer(tmp_path / "straight", **options)
    expected = straight.run()
    assert expected.reason == "early stopping"
    assert len(expected.history) == expected.best_epoch + 3
    stop = [StopAt(epoch=expected.best_epoch + 1)]
    run, result = stopped_and_resumed(tmp_path / "resumed", stop, **options)
    assert result.reason == "early stopping"
    assert equal(weights(run.model), weights(straight.model))
    assert_same_end(tmp_path / "straight", tmp_path / "resumed")


def test_a_finished_run_resumes_to_the_same_result(tmp_path):
    expected = trainer(tmp_path).run()
    again = trainer(tmp_path)
    again.resume()
    result = again.run()
    assert result == expected


def test_more_patience_lets_a_stopped_run_go_on(tmp_path):
    options = {"epochs": 30, "learning_rate": 0.3}
    assert trainer(tmp_path, patience=1, **options).run().reason == "early stopping"
    again = trainer(tmp_path, patience=30, **options)
    again.resume()
    assert again.run().steps == 30 * 6


def test_equal_seeds_give_equal_weights_and_others_do_not():
    def result(seed):
        seed_everything(seed)
        run = trainer(model=small_bilstm(), epochs=1, seed=seed)
        run.run()
        return weights(run.model)

    one = result(5)
    lose_the_random_state()
    assert equal(one, result(5))
    assert not equal(one, result(6))


def test_the_random_state_outside_does_not_matter():
    def result():
        model = TinyModel()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        run = trainer(model=model, epochs=1)
        torch.rand(3)
        run.run()
        return weights(run.model)

    one = result()
    lose_the_random_state()
    assert equal(one, result())


def test_it_learns_and_ends_with_the_weights_of_the_best_epoch():
    run = trainer(train=texts(400, seed=3), epochs=6, schedule="constant", monitor="loss")
    result = run.run()
    assert result.best_metrics["accuracy"] > 0.8
    best = min(result.history, key=lambda record: record["validation_loss"])
    assert best["epoch"] == result.best_epoch
    assert best["validation_loss"] == result.best_metrics["log_loss"]
    assert not run.model.training
    ids, lengths = collate(VALIDATION.texts, np.arange(len(VALIDATION)))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(
            run.model(ids, lengths), torch.from_numpy(VALIDATION.labels)
        )
    assert result.best_metrics["log_loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_the_best_epoch_need_not_be_the_last():
    run = trainer(epochs=9, patience=4, learning_rate=0.5, monitor="loss", schedule="constant")
    result = run.run()
    assert 0 < result.best_epoch < len(result.history)
    assert (
        result.best_metrics["log_loss"] == result.history[result.best_epoch - 1]["validation_loss"]
    )


def test_the_history_has_a_record_for_each_epoch(tmp_path):
    result = trainer(tmp_path, epochs=2, schedule="cosine").run()
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history
    record = result.history[1]
    assert (record["epoch"], record["steps"]) == (2, 12)
    assert record["learning_rate"] == Schedule("cosine", 0.05, 12).rate(11)  # of the last step
    assert set(record) == {
        "epoch",
        "steps",
        "train_loss",
        "learning_rate",
        "validation_loss",
        "validation_accuracy",
        "validation_macro_f1",
        *TIMES,
    }


def test_a_history_left_behind_is_brought_in_line_with_the_checkpoint(tmp_path):
    result = trainer(tmp_path, epochs=2).run()
    path = tmp_path / "history.jsonl"
    path.write_text("of another time\n")
    again = trainer(tmp_path, epochs=2)
    again.resume()
    again.run()
    assert list(map(json.loads, path.read_text().splitlines())) == result.history
    anew = StopAt(step=1)
    anew.trainer = trainer(tmp_path, observer=anew)
    anew.trainer.run()
    assert path.read_text() == ""


def test_the_plateau_schedule_slows_down_after_an_epoch_that_is_not_better():
    result = trainer(schedule="plateau", learning_rate=0.5, epochs=9, patience=9).run()
    rate, best = 0.5, -1.0
    for record in result.history:
        assert record["learning_rate"] == rate
        rate = rate if record["validation_macro_f1"] > best else rate / 2
        best = max(best, record["validation_macro_f1"])
    assert rate < 0.5


def test_train_loss_is_the_mean_over_texts():
    notes = Notes()
    result = trainer(epochs=1, observer=notes).run()
    steps = notes.of("step")
    total = sum(loss * count for _, _, _, loss, count in steps)
    assert sum(step[4] for step in steps) == len(TRAIN)
    assert result.history[0]["train_loss"] == pytest.approx(total / len(TRAIN), rel=1e-12)


def test_the_observer_is_told_all(tmp_path):
    notes = Notes()
    result = trainer(tmp_path, epochs=2, observer=notes, checkpoint_minutes=1000.0).run()
    assert notes.of("start") == [("start", 12, 0, 2)]
    assert [(step, epoch) for _, step, epoch, _, _ in notes.of("step")] == [
        (step, 1 if step <= 6 else 2) for step in range(1, 13)
    ]
    assert notes.of("evaluate")[3] == ("evaluate", 30, 30)
    assert [record for _, record in notes.of("epoch")] == result.history
    # at the start and after each epoch
    assert notes.of("checkpoint") == [("checkpoint", tmp_path / "checkpoint.safetensors")] * 3
    assert notes.told[-1] == ("stop", result)


def test_checkpoints_come_by_the_clock_too(tmp_path):
    notes = Notes()
    trainer(tmp_path, epochs=1, observer=notes, checkpoint_minutes=0).run()
    assert len(notes.of("checkpoint")) == 1 + 6 + 1


def test_without_paths_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer(epochs=1).run()
    assert list(tmp_path.iterdir()) == []


def test_a_stop_before_any_evaluation_leaves_the_weights_as_they_are(tmp_path):
    stop = StopAt(step=3)
    run = stop.trainer = trainer(tmp_path, observer=stop)
    result = run.run()
    assert (result.reason, result.steps, result.best_epoch) == ("interrupted", 3, 0)
    assert result.best_metrics == {}
    saved = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert equal(weights(run.model), saved.tensors["model"])
    assert not run.model.training


def test_a_stop_in_an_evaluation_breaks_it_off(tmp_path):
    stop = StopAt(evaluation=2)
    stop.trainer = trainer(tmp_path, observer=stop)
    result = stop.trainer.run()
    assert (result.reason, result.steps, len(result.history)) == ("interrupted", 12, 1)


def test_when_the_time_is_over_the_unfinished_epoch_is_judged_and_can_be_resumed(
    tmp_path, monkeypatch
):
    straight = trainer(tmp_path / "straight")
    straight.run()

    class Clock(Observer):
        now = 0.0

        def on_step(self, step, epoch, loss, texts):
            Clock.now += 60.0

    monkeypatch.setattr(loop_module.time, "monotonic", lambda: Clock.now)
    folder = tmp_path / "short"
    result = trainer(folder, max_minutes=8.0, observer=Clock()).run()
    assert (result.reason, result.steps) == ("max minutes", 8)
    assert [record["steps"] for record in result.history] == [6, 8]
    saved = load_checkpoint(folder / "checkpoint.safetensors")
    assert saved.state["progress"]["step"] == 8
    monkeypatch.undo()
    again = trainer(folder)
    again.resume()
    assert again.run().reason == "finished"
    assert equal(weights(again.model), weights(straight.model))
    assert_same_end(tmp_path / "straight", folder)


def test_each_step_uses_the_rate_of_the_schedule_and_a_clipped_gradient(monkeypatch):
    seen = []
    make = loop_module.make_optimizer

    def watched(model, config):
        optimizer = make(model, config)

        def look(optimizer, args, kwargs):
            norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
            seen.append((optimizer.param_groups[-1]["lr"], float(norm)))

        optimizer.register_step_pre_hook(look)
        return optimizer

    monkeypatch.setattr(loop_module, "make_optimizer", watched)
    trainer(epochs=2, clip_norm=0.01).run()
    schedule = Schedule("one-cycle", 0.05, 12)
    assert [rate for rate, _ in seen] == [schedule.rate(step) for step in range(12)]
    assert all(norm == pytest.approx(0.01, rel=1e-3) for _, norm in seen)


def test_every_epoch_reads_the_batches_of_its_number(monkeypatch):
    read = []

    class Recorder(TinyModel):
        def forward(self, ids, lengths):
            if self.training:
                read.append(ids)
            return super().forward(ids, lengths)

    trainer(model=Recorder(), epochs=2).run()
    expected = [
        collate(TRAIN.texts, rows)[0]
        for epoch in range(2)
        for rows in train_batches(TRAIN.texts.lengths, batch_size=8, seed=1, epoch=epoch)
    ]
    assert len(read) == len(expected)
    assert all(map(torch.equal, read, expected))


class Poisoned(TinyModel):
    """Gives what is asked for at one training step."""

    def __init__(self, step, poison):
        super().__init__()
        self.left, self.poison = step, poison

    def forward(self, ids, lengths):
        logits = super().forward(ids, lengths)
        self.left -= self.training
        return self.poison(logits) if self.left == 0 else logits


@pytest.mark.parametrize(
    ("poison", "what"),
    [
        (lambda logits: logits * math.nan, "loss nan"),
        # the loss is finite, the gradient of the square root at 0 is not
        (lambda logits: logits + (logits * 0).sqrt(), "gradient norm nan"),
    ],
)
def test_a_loss_or_gradient_that_is_not_finite_stops_with_step_and_remedy(tmp_path, poison, what):
    run = trainer(tmp_path, model=Poisoned(9, poison))
    with pytest.raises(TrainingError, match=rf"{what}.* at step 9 \(epoch 2\).*--learning-rate"):
        run.run()
    assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())
    saved = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert saved.state["progress"]["step"] == 6


def test_validation_figures_that_are_not_finite_stop_too():
    class Broken(TinyModel):
        def forward(self, ids, lengths):
            logits = super().forward(ids, lengths)
            return logits if self.training else logits * math.inf

    with pytest.raises(TrainingError, match="logits that are not finite"):
        trainer(model=Broken()).run()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0.01}, "learning_rate was 0.05 and is now 0.01"),
        ({"seed": 2}, "seed was 1 and is now 2"),
        ({"epochs": 5}, "epochs was 4 and is now 5"),
        ({"train": texts(45, seed=1)}, "train texts was 44 and is now 45"),
        ({"names": ("good", "bad")}, "labels was bad, good and is now good, bad"),
        ({"model": TinyModel(21)}, "weight embedding.weight was 20, 4 and is now 21, 4"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_the_difference(tmp_path, changed, message):
    trainer(tmp_path, epochs=4).run()
    run = trainer(tmp_path, **{"epochs": 4, **changed})
    with pytest.raises(TrainingError, match=message):
        run.resume()


def test_other_labels_of_the_same_texts_are_noticed(tmp_path):
    trainer(tmp_path, epochs=1).run()
    turned = LabelledTexts(TRAIN.texts, 1 - TRAIN.labels)
    with pytest.raises(TrainingError, match="train labels"):
        trainer(tmp_path, epochs=1, train=turned).resume()


def weighted(labels, weight):
    return LabelledTexts(TRAIN.texts, labels, np.asarray(weight, np.float64))


def test_texts_count_by_their_weights():
    same = EncodedTexts.from_batches([(np.full(40, 3, np.int32), np.ones(40, np.int64))])
    labels = np.arange(40) % 2
    train = LabelledTexts(same, labels, np.where(labels == 1, 9.0, 1.0))
    shares = []

    class Look(Observer):
        def on_epoch(self, record):
            logits = run.model(*collate(same, np.arange(1)))
            shares.append(logits.softmax(dim=1)[0, 1].item())

    run = trainer(train=train, epochs=20, patience=20, observer=Look())
    run.run()
    assert shares[-1] == pytest.approx(0.9, abs=0.02)


def test_of_weights_only_the_proportions_matter():
    some = 1.0 + np.arange(len(TRAIN)) % 4  # their sum and mean are exact in binary

    def trained(train):
        run = trainer(train=train, epochs=2)
        run.run()
        return weights(run.model)

    assert equal(trained(weighted(TRAIN.labels, some)), trained(weighted(TRAIN.labels, 8 * some)))
    assert equal(trained(weighted(TRAIN.labels, np.full(len(TRAIN), 3))), trained(TRAIN))
    assert not equal(trained(weighted(TRAIN.labels, some)), trained(TRAIN))


def test_other_weights_of_the_same_texts_are_noticed(tmp_path):
    trainer(tmp_path, epochs=1).run()
    heavy = trainer(tmp_path, epochs=1, train=weighted(TRAIN.labels, 1 + np.arange(len(TRAIN))))
    with pytest.raises(TrainingError, match="train weights"):
        heavy.resume()


def test_the_figures_on_validation_weigh():
    def record(validation):
        return trainer(epochs=1, validation=validation).run().history[0]

    weights = np.where(VALIDATION.labels == 1, 5.0, 1.0)
    judged = record(LabelledTexts(VALIDATION.texts, VALIDATION.labels, weights))
    plain = record(VALIDATION)
    assert judged["train_loss"] == plain["train_loss"]
    assert judged["validation_loss"] != plain["validation_loss"]


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(ModelFolderError, match=r"no checkpoint .*checkpoint\.safetensors"):
        trainer(tmp_path).resume()


def test_empty_data_and_missing_devices_are_refused():
    with pytest.raises(DataError, match="train has 0 texts"):
        trainer(train=texts(0))
    with pytest.raises(ConfigError, match="device = 'tpu'"):
        trainer(device="tpu")


def test_class_weights_are_used():
    train = texts(60, seed=4)
    plain = trainer(train=train, epochs=1).run()
    weighted = trainer(train=train, epochs=1, class_weights=("good=50",)).run()
    matrix = np.array(weighted.best_metrics["confusion_matrix"])
    assert matrix[:, 1].sum() > np.array(plain.best_metrics["confusion_matrix"])[:, 1].sum()


def test_a_class_weight_of_an_unknown_label_is_refused_before_the_first_step():
    notes = Notes()
    with pytest.raises(ConfigError, match="'fine' is not a label"):
        trainer(class_weights=("fine=50",), observer=notes).run()
    assert not notes.of("step")


def test_the_number_of_threads_is_set_while_it_runs_and_put_back():
    before = torch.get_num_threads()
    seen = []

    class Look(Observer):
        def on_step(self, step, epoch, loss, texts):
            seen.append(torch.get_num_threads())

    trainer(epochs=1, threads=3, observer=Look()).run()
    assert set(seen) == {3}
    assert torch.get_num_threads() == before


class Telling(Observer):
    """Tells the steps to another process, so that it knows when to kill."""

    def __init__(self, pipe):
        self.pipe = pipe

    def on_step(self, step, epoch, loss, texts):
        os.write(self.pipe, bytes([step]))


def die_many_deaths(folder):
    """Train in processes that are killed one after the other, each later than the last.

    A checkpoint follows each step, so that most are killed in the middle of writing one.
    """
    for step in (1, 4, 6, 9, 12, 15):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            run = trainer(folder, checkpoint_minutes=0, observer=Telling(writer))
            if (folder / "checkpoint.safetensors").exists():
                run.resume()
            run.run()
            os._exit(1)  # it was to be killed before
        os.close(writer)
        while os.read(reader, 1) < bytes([step]):
            pass
        time.sleep(step * 1e-4)  # another moment of the write each time
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        os.close(reader)


def test_a_run_killed_at_any_moment_resumes_to_the_same_end(forks, tmp_path):
    straight = trainer(tmp_path / "straight")
    straight.run()
    folder = tmp_path / "killed"
    # a process of its own: forking one that has computed with several threads may hang
    done = forks.run("python", __file__, folder, folder=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    again = trainer(folder)
    again.resume()
    again.run()
    assert equal(weights(again.model), weights(straight.model))
    assert_same_end(tmp_path / "straight", folder)


def test_names_of_the_labels_are_those_of_the_metrics():
    assert trainer(epochs=1).run().best_metrics["labels"] == list(NAMES)


if __name__ == "__main__":
    die_many_deaths(Path(sys.argv[1]))


@needs_bf16
def test_training_computes_in_the_asked_precision_and_judges_in_fp32():
    seen = set()

    class Watched(TinyModel):
        def forward(self, ids, lengths):
            seen.add((self.training, self.compute_dtype))
            return super().forward(ids, lengths)

    trained = trainer(model=Watched(), epochs=1, precision="bf16")
    trained.run()
    assert seen == {(True, torch.bfloat16), (False, torch.float32)}
    assert trained.model.compute_dtype == torch.float32


def test_no_step_reads_more_tokens_than_its_budget():
    sizes = []

    class Watched(TinyModel):
        def forward(self, ids, lengths):
            if self.training:
                sizes.append(ids.shape)
            return super().forward(ids, lengths)

    trainer(model=Watched(), epochs=1, batch_tokens=14).run()
    assert sum(rows for rows, _ in sizes) == len(TRAIN)
    assert all(rows == 1 or rows * longest <= 14 for rows, longest in sizes)


def test_texts_are_moved_as_far_as_asked():
    def learned(adversarial):
        seed_everything(1)
        config = ModelConfig(embedding_size=4, hidden_size=4, num_layers=1, ngrams=0)
        model = BiLSTMClassifier(config, vocab_size=20, num_classes=len(NAMES))
        trainer(model=model, epochs=2, adversarial=adversarial).run()
        return model.linear.weight

    assert torch.equal(learned(0.1), learned(0.1))
    assert not torch.equal(learned(0.1), learned(0.0))


def read_without_labels(monkeypatch, *, folder=None, stop=None, resume=False, **options):
    """The rows without labels that each step of a run has read, and the weights at its end."""
    found = []
    of = BatchGradients.of

    def seen(self, rows, unlabeled=None):
        found.append(unlabeled.tolist())
        return of(self, rows, unlabeled)

    observer = StopAt(step=stop)
    with monkeypatch.context() as patch:
        patch.setattr(BatchGradients, "of", seen)
        run = trainer(folder, unlabeled=UNLABELED, observer=observer, **options)
        observer.trainer = run
        if resume:
            run.resume()
        run.run()
    return found, weights(run.model)


def test_each_step_reads_texts_without_labels_and_all_are_read_equally_often(monkeypatch):
    found, _ = read_without_labels(monkeypatch, epochs=3)
    assert len(found) == 18  # 6 batches in an epoch
    rounds = [found[start : start + 3] for start in range(0, 18, 3)]  # of 24 texts in batches of 8
    for batches in rounds:
        assert sorted(row for rows in batches for row in rows) == list(range(24))
    assert len({json.dumps(batches) for batches in rounds}) > 1


def test_a_run_with_texts_without_labels_is_resumed_bit_for_bit(monkeypatch, tmp_path):
    whole, end = read_without_labels(monkeypatch, folder=tmp_path / "whole")
    begun, _ = read_without_labels(monkeypatch, folder=tmp_path / "cut", stop=10)
    rest, again = read_without_labels(monkeypatch, folder=tmp_path / "cut", resume=True)
    assert begun + rest == whole
    assert equal(end, again)


def test_texts_without_labels_change_what_is_learned_and_their_labels_do_not(monkeypatch):
    alone = trainer()
    alone.run()
    _, one = read_without_labels(monkeypatch)
    assert not equal(weights(alone.model), one)
    others = LabelledTexts(UNLABELED.texts, 1 - UNLABELED.labels)
    other = trainer(unlabeled=others)
    other.run()
    assert equal(weights(other.model), one)


def test_a_run_is_not_resumed_with_other_texts_without_labels(tmp_path):
    trainer(tmp_path, unlabeled=UNLABELED, epochs=1).run()
    with pytest.raises(TrainingError, match="unlabeled texts"):
        trainer(tmp_path, epochs=1).resume()


def test_a_checkpoint_of_a_version_that_left_options_open_is_resumed(tmp_path):
    trainer(tmp_path, epochs=1).run()
    path = tmp_path / "checkpoint.safetensors"
    saved = load_checkpoint(path)
    saved.state["made_of"] |= {"epochs": None, "adversarial": None}
    save_checkpoint(path, saved)
    trainer(tmp_path, epochs=1).resume()
    saved.state["made_of"] |= {"seed": None}
    save_checkpoint(path, saved)
    with pytest.raises(TrainingError, match="seed was absent and is now 1"):
        trainer(tmp_path, epochs=1).resume()


def test_the_scales_are_fitted_on_validation_and_kept_with_the_best_weights(tmp_path):
    run = trainer(tmp_path, calibrate=True)
    result = run.run()
    facts = result.best_metrics["calibration"]
    assert facts["scales"] == {"lstm": run.model.scales.item()}
    assert run.model.scales.item() != 1
    assert run.evaluate(VALIDATION)["log_loss"] == pytest.approx(result.best_metrics["log_loss"])
    plain = trainer(calibrate=False)
    assert "calibration" not in plain.run().best_metrics
    assert plain.model.scales.item() == 1


def taught(seed=1):
    """The training texts with a teacher, whose word is half of their loss."""
    said = np.random.default_rng(seed).dirichlet([1, 1], len(TRAIN)).astype(np.float32)
    return LabelledTexts(TRAIN.texts, TRAIN.labels, None, said, np.full(len(TRAIN), 0.5, "f4"))


def test_a_run_is_resumed_with_the_same_teacher_only(tmp_path):
    trainer(tmp_path, train=taught(), epochs=1).run()
    trainer(tmp_path, train=taught(), epochs=1).resume()
    for train in (TRAIN, taught(seed=2)):
        with pytest.raises(TrainingError, match=r"train teacher \(crc32\) was \d+ and is now"):
            trainer(tmp_path, train=train, epochs=1).resume()


def test_a_checkpoint_of_a_version_without_an_option_is_resumed_with_its_default(tmp_path):
    trainer(tmp_path, epochs=1).run()
    path = tmp_path / "checkpoint.safetensors"
    saved = load_checkpoint(path)
    for name in ("teacher", "teacher_weight", "teacher_temperature"):
        del saved.state["made_of"][name]
    save_checkpoint(path, saved)
    trainer(tmp_path, epochs=1).resume()
    with pytest.raises(TrainingError, match="teacher_weight was"):
        trainer(tmp_path, epochs=1, teacher_weight=0.123).resume()
