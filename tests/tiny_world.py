"""Two processes that train together, forked from one that has imported all.

For each line of stdin, [scenario, folder, arguments], it forks two processes with the environment
that torchrun gives, has both go through the scenario, and answers with their exit codes. What
they print is in `folder` as out.0 and out.1.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_training import NAMES, TRAIN, VALIDATION, TinyModel, timeless, trainer

import textlstm.training.fit
import textlstm.training.run
import textlstm.training.self_training
import textlstm.training.teacher
import textlstm.training.train
from textlstm import cli
from textlstm.config import FEW_TEXTS, ModelConfig, TrainSettings
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.errors import DataError, PeerError, TrainingError
from textlstm.nn.device import seed_everything
from textlstm.nn.layers import RowEmbedding
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.checkpoint import load_checkpoint
from textlstm.training.distributed import ALONE, World, join
from textlstm.training.fit import fit_model
from textlstm.training.gradients import sum_gradients
from textlstm.training.observer import Observer
from textlstm.training.optimizer import make_optimizer
from textlstm.training.validation import predict_logits

DRY = {"word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0, "output_dropout": 0.0}


class Pair:
    """Forks two processes for each scenario; a test's end of the conversation."""

    def __init__(self, forks):
        environment = {**forks.env, "TOKENIZERS_PARALLELISM": "false"}
        self._server = subprocess.Popen(
            [forks.folder / "python", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __call__(self, scenario, folder, **arguments):
        """Give the exit codes of both."""
        folder.mkdir(exist_ok=True)
        self._server.stdin.write(json.dumps([scenario, str(folder), arguments]) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self):
        self._server.stdin.close()
        self._server.wait(60)


def bilstm(**shape):
    """A small classifier with the weights that every process makes."""
    seed_everything(1)
    config = ModelConfig(**{"embedding_size": 6, "hidden_size": 5, "num_layers": 2, **shape})
    return BiLSTMClassifier(config, vocab_size=20, num_classes=2)


class StopAt(Observer):
    """Has one process ask for a stop, at a step or in the evaluation."""

    def __init__(self, world, rank, *, step=None, done=None):
        self.asks, self.step, self.done = world.rank == rank, step, done
        self.trainer = None

    def on_step(self, step, epoch, loss, texts):
        if self.asks and step == self.step:
            self.trainer.stop()

    def on_evaluate(self, done, total):
        if self.asks and done == self.done:
            self.trainer.stop()


def save(folder, name, world, tensors):
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.{world.rank}"
    )


def talk(folder, world):
    """All kinds of conversation."""
    mine = torch.tensor([1.0, 2.0]) * (world.rank + 1)
    other = torch.full((2, 2), float(world.rank))
    world.sum_([mine, other])
    assert mine.tolist() == [3.0, 6.0]
    assert other.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert world.any(world.rank == 1, False, True) == [True, False, True]
    rows = torch.tensor([[1, 4], [0, 4, 6]][world.rank])
    assert world.union(rows, 9).tolist() == [0, 1, 4, 6]
    assert [t.item() for t in world.gather(torch.tensor(world.rank + 5))] == [5, 6]
    weights = [torch.full((2,), float(world.rank)), torch.tensor(world.rank)]
    world.broadcast_(weights)
    assert [w.tolist() for w in weights] == [[0.0, 0.0], 0]
    assert join() == world  # a second call finds the same processes


def queue(folder, world):
    """The first process goes first; where it fails the others are told."""
    with world.main_first():
        if world.is_main:
            time.sleep(0.3)
            (folder / "made").touch()
        assert (folder / "made").exists()
    kind, told = (DataError, "cat") if world.is_main else (PeerError, "first process .* has failed")
    with pytest.raises(kind, match=told), world.main_first():
        raise DataError("the cat ate it")


def gradients(folder, world):
    """Gradients of parts add up to those of the whole, also if a process has none."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(RowEmbedding(9, 3, padding_idx=0), torch.nn.Linear(3, 2))
    make_optimizer(model, trainer().config)
    ids = torch.tensor([[1, 4], [4, 8], [2, 0]])
    for part in ([[0, 1], [2]], [[0, 1, 2], []]):
        model.zero_grad()
        whole = model(ids).square().sum()
        whole.backward()
        expected = [parameter.grad.to_dense() for parameter in model.parameters()]
        model.zero_grad()
        mine = part[world.rank]
        loss = model(ids[mine]).square().sum() if mine else torch.zeros(())
        if mine:
            loss.backward()
        loss = loss.detach()
        sum_gradients(model, world, loss)
        assert model[0].weight.grad._indices()[0].tolist() == [1, 2, 4, 8]
        found = [parameter.grad.to_dense() for parameter in model.parameters()]
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(loss, whole.detach())


def some(rows):
    """The first texts of the tiny data."""
    texts = EncodedTexts(TRAIN.texts.ids, TRAIN.texts.offsets[: rows + 1])
    return LabelledTexts(texts, TRAIN.labels[:rows])


def trained(shape, rows, world, **options):
    """A small classifier, and how its training went."""
    run = trainer(model=bilstm(**shape), train=some(rows), world=world, **options)
    result = run.run()
    return run.model, [timeless(result.history), result.best_metrics]


def train(folder, world, *, variants):
    """Whole trainings; the weights of each are in NAME.RANK, the figures in NAME.RANK.json."""
    for name, options in variants.items():
        model, figures = trained(world=world, **options)
        save(folder, name, world, model.state_dict())
        (folder / f"{name}.{world.rank}.json").write_text(json.dumps(figures))


def unlike(folder, world):
    """Processes that begin with weights of their own: the first one's are those of all."""
    model = TinyModel()
    with torch.no_grad():
        model.embedding.weight.fill_(world.rank + 1)
    trainer(model=model, epochs=1, world=world).run()
    save(folder, "weights", world, model.state_dict())


def stops(folder, world):
    """One process asks for stops; all go on to the same end, dropout included."""
    straight = trainer(folder / "straight", world=world)
    straight.run()
    plan = [StopAt(world, 1, step=2), StopAt(world, 0, done=16), StopAt(world, 1, step=9)]
    for number, stop in enumerate([*plan, StopAt(world, 0)]):
        run = trainer(folder / "resumed", observer=stop, world=world)
        stop.trainer = run
        if number:
            run.resume()
        seed_everything(7)
        result = run.run()
        assert (result.reason == "interrupted") == (number < len(plan))
    for key, value in straight.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[key])
    saved = [
        load_checkpoint(folder / name / "checkpoint.safetensors").tensors
        for name in ("straight", "resumed")
    ]
    for group, tensors in saved[0].items():
        assert tensors.keys() == saved[1][group].keys()
        assert all(torch.equal(tensors[key], saved[1][group][key]) for key in tensors), group
    assert not torch.equal(saved[0]["random"]["cpu.0"], saved[0]["random"]["cpu.1"])


def half(folder, world):
    """Stop in the middle, for others to go on from."""
    stop = StopAt(world, 0, step=9)
    options = {"epochs": 3, "precision": "fp32"}
    stop.trainer = trainer(folder, model=bilstm(**DRY), observer=stop, world=world, **options)
    assert stop.trainer.run().reason == "interrupted"


def clocks(folder, world):
    """The clock of one process decides for both."""
    told = []

    class Tell(Observer):
        def on_checkpoint(self, path):
            told.append(path)

    options = {"epochs": 2, "world": world, "observer": Tell()}
    trainer(folder, **options, checkpoint_minutes=[0.0, 99.0][world.rank]).run()
    assert len(told) == 1 + 2 * 7
    result = trainer(**options, max_minutes=[99.0, 0.0][world.rank]).run()
    assert (result.reason, result.steps) == ("max minutes", 0)


def runs_away(folder, world):
    """A loss that is not finite in one process."""

    class Poisoned(TinyModel):
        def forward(self, ids, lengths):
            logits = super().forward(ids, lengths)
            return logits * (float("nan") if world.rank == 1 else 1.0)

    with pytest.raises(TrainingError, match="loss nan") as error:
        trainer(model=Poisoned(), world=world).run()
    assert error.type == (TrainingError if world.is_main else PeerError)


def evaluate(folder, world):
    """Judged together as by one, and broken off together."""
    model = bilstm(**DRY).eval()
    for size in (4, 7, 100):
        options = {"batch_size": size}
        alone = predict_logits(model, VALIDATION.texts, 2, world=ALONE, **options)
        together = predict_logits(model, VALIDATION.texts, 2, world=world, **options)
        np.testing.assert_array_equal(together, alone)
    stopped = predict_logits(
        model,
        VALIDATION.texts,
        2,
        world=world,
        on_batch=lambda done: world.is_main,
        **{**options, "batch_size": 4},
    )
    assert stopped is None


def command(folder, world, *, words):
    """A command line in both."""
    cli._WAIT = 0.2
    sys.exit(cli.main(words))


def library(folder, world, *, source, out=None, seen="same", few=FEW_TEXTS, **options):
    """`textlstm.train`, into a folder or in memory, with what a second process may see."""
    textlstm.training.teacher.FEW_TEXTS = few
    if seen == "other data" and world.rank:
        load = textlstm.training.run.load_corpus
        textlstm.training.run.load_corpus = lambda *words, **more: replace(
            load(*words, **more), fingerprint="another"
        )
    if seen == "other folder":
        out = f"{out}-{world.rank}"
    classifier = textlstm.training.train.train(source, out, **options)
    assert out is None or (Path(out) / "config.json").exists()
    save(folder, "model", world, classifier.model.state_dict())


def second_is_cut(folder, world, *, source, unlabeled, steps, **options):
    """The time is over after some steps of a second model; what each process returns."""

    class Cut(textlstm.training.fit.Trainer):
        def _stop_reason(self):
            if self.splits["train"].taught is not None and self._progress.step >= steps:
                self._deadline = 0.0
            return super()._stop_reason()

    class Contrary(textlstm.training.self_training.EarlyStopping):
        def update(self, epoch, figures):
            return not super().update(epoch, figures)

    textlstm.training.fit.Trainer = Cut
    if world.rank:  # it would decide otherwise by itself
        textlstm.training.self_training.EarlyStopping = Contrary
    run = textlstm.training.train.train(source, folder / "m", unlabeled=unlabeled, **options)
    save(folder, "model", world, run.model.state_dict())
    (folder / f"facts.{world.rank}.json").write_text(json.dumps(run.record.training))


def die(folder, world, *, source, out, rank, at, **options):
    """One process dies of an error of its own."""

    class Dies(Observer):
        def on_step(self, step, epoch, loss, texts):
            if step == at and world.rank == rank:
                raise ValueError("out of paper")

    textlstm.training.train.train(source, Path(out), observer=Dies(), **options)


def waits(folder, world):
    """The first process fits the n-grams, for as long as it takes; the others wait for it."""
    fitted, fit = folder / "fitted", textlstm.training.fit.fit_ngrams
    broadcast = World.broadcast_

    def slow(*arguments, **options):
        time.sleep(0.3)
        fit(*arguments, **options)
        fitted.touch()

    def checked(self, tensors):  # a collective, which has a limit
        assert fitted.exists()
        broadcast(self, tensors)

    textlstm.training.fit.fit_ngrams = slow
    World.broadcast_ = checked
    options = {"epochs": 1, "adversarial": 0.0, "threads": 1, "device": "cpu"}
    settings = TrainSettings.from_options(embedding_size=4, hidden_size=4, num_layers=1, **options)
    splits = {"train": TRAIN, "validation": VALIDATION}
    work = folder / f"work.{world.rank}"
    work.mkdir()
    fit_model(splits, NAMES, settings, vocab_size=20, work=work, world=world)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        *(talk, queue, gradients, evaluate, train, unlike, stops, half, clocks, runs_away),
        *(command, library, second_is_cut, die, waits),
    )
}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def serve():
    trainer(model=bilstm(), epochs=1).run()  # torch loads much on the first step
    for line in sys.stdin:
        scenario, folder, arguments = json.loads(line)
        port = free_port()
        children = []
        for rank in range(2):
            children.append(os.fork())
            if not children[-1]:
                take_part(scenario, Path(folder), arguments, rank, port)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


def take_part(scenario, folder, arguments, rank, port):
    place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    output = os.open(folder / f"out.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = 1
    try:
        SCENARIOS[scenario](folder, join(), **arguments)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
