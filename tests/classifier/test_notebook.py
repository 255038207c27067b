"""What notebooks and terminals show of predictions, figures, epochs and models."""

import pickle
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from tiny_browser import CHROMIUM, Browser, needs_chromium
from tiny_classifier import LABELS, METRICS, RECORD, texts, tiny_classifier, tiny_tagger

from textlstm import TextClassifier
from textlstm.classifier.notebook import History, Metrics, Predictions
from textlstm.errors import DataError, MissingDependencyError
from textlstm.evaluation.metrics import evaluate_probabilities

CLASSIFIER = tiny_classifier()
TEXTS = [f"{text} film" for text in texts(30)]
TRUE = [LABELS[i % 3] for i in range(30)]
HARD = [
    "<script>boom()</script>",
    "a & 'b' \"c\"",
    "فيلم رائع",
    "电影",
    "word " * 10_000,
    "",
    "a\nb",
]
EPOCHS = [
    {"epoch": i, "train_loss": 1 / i, "validation_loss": 1.0, "validation_accuracy": 0.5}
    for i in range(1, 31)
]


class Page(HTMLParser):
    """The cells of tables, and the elements that are not closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.rows = [], set(), []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def made(names, *, several=False, n=400):
    """Figures of probabilities by chance."""
    random = np.random.default_rng(1)
    labels = random.integers(0, len(names), n)
    found = random.dirichlet(np.ones(len(names)), n).astype(np.float32)
    found[np.arange(n), labels] += 0.4
    found /= found.sum(axis=1, keepdims=True)
    if several:
        labels, thresholds = np.eye(len(names), dtype=bool)[labels], [0.4] * len(names)
        return Metrics(evaluate_probabilities(labels, found, names, None, thresholds))
    return Metrics(evaluate_probabilities(labels, found, names))


def test_predictions_are_a_table_with_the_texts():
    found = CLASSIFIER.predict(HARD)
    assert isinstance(found, list)
    assert [each.text for each in found] == HARD
    page = Page(found._repr_html_())
    assert page.rows[0] == ["", "text", "label", "score"]
    assert [row[1] for row in page.rows[1:5]] == HARD[:4]
    assert page.rows[6] == ["5", "", "(blank)", ""]
    assert page.rows[7][1:3] == ["a b", found[6].label]
    assert page.rows[1][3] == f"{found[0].score:.4f}"
    assert len(page.rows[5][1]) <= 150
    assert "script" not in page.tags
    lines = repr(found).splitlines()
    assert lines[0].split() == ["text", "label", "score"]
    assert lines[-1] == "(7 predictions)"
    assert len(lines) == 9
    assert repr(CLASSIFIER.predict(["film"])).endswith("(1 prediction)")
    assert pickle.loads(pickle.dumps(found)) == found


def test_of_many_predictions_the_first_and_last_are_shown():
    found = Predictions(CLASSIFIER.predict(["film", *HARD]) * 12_500)
    page = found._repr_html_()
    assert page.endswith("<p>100,000 predictions</p>")
    assert [row[0] for row in Page(page).rows[1:]] == [
        *("0", "1", "2", "3", "4", "…", "99,995", "99,996", "99,997", "99,998", "99,999")
    ]
    assert len(page) < 5_000
    assert len(repr(found)) < 2_000


def test_one_prediction_has_bars_the_most_probable_first():
    labels = [f"label {i}" for i in range(150)]
    (found,) = tiny_classifier(labels=labels).predict(HARD[:1])
    page = Page(found._repr_html_())
    assert "script" not in page.tags
    assert len(page.rows) == 10
    assert page.rows[0][:2] == [found.label, f"{np.float32(found.score):.4f}"]
    assert f"<b>{found.label}</b>" in found._repr_html_()
    assert found._repr_html_().endswith("<p>and 140 more labels</p>")
    (found,) = tiny_tagger().predict(["film"])
    assert found._repr_html_().count("<b>") == len(found.labels)
    assert "no label: blank" in CLASSIFIER.predict([" "])[0]._repr_html_()


def test_figures_are_tables():
    found = CLASSIFIER.evaluate(TEXTS, TRUE)
    assert str(found).splitlines()[0].split() == ["texts", "30"]
    assert "true \\ predicted" in str(found)
    rows = Page(found._repr_html_()).rows
    assert rows[0][:2] == ["texts", "accuracy"]
    assert rows[1][0] == "30"
    assert [row[0] for row in rows[3:6]] == list(LABELS)
    assert [list(map(int, row[1:])) for row in rows[-3:]] == found["confusion_matrix"]
    assert "<b>très" not in found._repr_html_()


def test_of_many_labels_the_worst_are_shown():
    page = made([f"label {i}" for i in range(150)])._repr_html_()
    assert page.endswith("<p>the labels with the lowest F1; 130 more are not shown</p>")
    rows = Page(page).rows
    assert len(rows) == 2 + 1 + 20
    scores = [float(row[3]) for row in rows[3:]]
    assert scores == sorted(scores)


def test_the_figures_of_the_training_are_shown_too(tmp_path):
    CLASSIFIER.save(tmp_path / "model")
    model = TextClassifier.load(tmp_path / "model", device="cpu")
    assert model.metrics == RECORD.metrics
    assert "0.7123" in model.metrics["validation"]._repr_html_()
    assert "macro F1" in str(model.metrics["validation"])


def test_epochs_are_a_table_and_the_kept_one_is_bold():
    assert CLASSIFIER.history == RECORD.history
    page = CLASSIFIER.history._repr_html_()
    assert Page(page).rows == [["epoch", "loss"], ["1", "0.7"], ["2", "0.5"]]
    assert ("<b>2</b>" in page, "<b>1</b>" in page) == (True, False)
    page = History(EPOCHS)._repr_html_()
    assert page.endswith("<p>30 epochs</p>")
    assert [row[0] for row in Page(page).rows[5:8]] == ["5", "…", "26"]
    assert "0 epochs" in History()._repr_html_()


def test_the_facts_of_a_model_are_a_table():
    page = Page(CLASSIFIER._repr_html_())
    assert page.rows[0] == ["labels", f"3: {', '.join(LABELS)}"]


@pytest.fixture
def figures():
    pytest.importorskip("matplotlib")
    names = [HARD[0], HARD[2], "很好", "$x^2$", "a label that is far too long for its place", "b"]
    history = History(EPOCHS)
    history.best_epoch = 20
    many = made([f"label {i}" for i in range(300)], n=2000)
    drawn = {"two": made("ab"), "six": made(names), "tags": made(names, several=True)}
    drawn |= {"150": made([f"label {i}" for i in range(150)]), "300": many}
    found = {name: metrics.plot_confusion() for name, metrics in drawn.items()}
    return found | {"trust": drawn["six"].plot_reliability(), "history": history.plot()}


def test_pictures_are_figures_of_matplotlib_that_pyplot_does_not_know(figures):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]
    for name, figure in figures.items():
        assert isinstance(figure, Figure), name
        tree = ElementTree.fromstring(figure._repr_svg_())
        assert tree.tag.endswith("svg")
        assert "var(--" not in figure._repr_svg_()
        assert len(figure._repr_svg_()) < 100_000
    shown = "".join(ElementTree.fromstring(figures["six"]._repr_svg_()).itertext())
    for text in ("فيلم رائع", "很好", "$x^2$", "<script>boom()"):
        assert text in shown
    assert "of 300 labels the 30 most confused" in figures["300"].axes[0].get_xlabel()


def test_a_picture_keeps_its_style_whatever_that_of_the_user_is():
    mpl = pytest.importorskip("matplotlib")
    plain = made("ab").plot_confusion()._repr_svg_()
    with mpl.rc_context({"figure.facecolor": "black", "text.color": "white", "font.size": 30}):
        assert made("ab").plot_confusion()._repr_svg_() == plain


def test_the_matrix_of_very_many_labels_has_the_most_confused():
    pytest.importorskip("matplotlib")
    names = [f"label {i}" for i in range(300)]
    cells = [[i, i, 5] for i in range(300)] + [[7, 9, 3], [250, 7, 1]]
    found = Metrics(confusions=cells, labels=names).plot_confusion()
    ticks = [label.get_text() for label in found.axes[0].get_yticklabels()]
    assert len(ticks) == 30
    assert set(ticks) >= {"label 7", "label 9", "label 250"}


def test_figures_that_are_missing_or_damaged_can_not_be_drawn():
    pytest.importorskip("matplotlib")
    old = CLASSIFIER.metrics["validation"]  # of a version without these bins
    old.plot_confusion()
    with pytest.raises(DataError, match=r"reliability.*KeyError.*evaluate again with classifier"):
        old.plot_reliability()
    for wrong in ([], {}, [["x"]], None, [[1, 2], [3]], "abc", 5):
        with pytest.raises(DataError, match="evaluate again"):
            Metrics(METRICS, confusion_matrix=wrong).plot_confusion()
        with pytest.raises(DataError, match="evaluate again"):
            Metrics(METRICS, confusions=wrong or [[1, 999, 1]]).plot_confusion()
        with pytest.raises(DataError, match="evaluate again"):
            Metrics(METRICS, reliability=wrong or [{}]).plot_reliability()
    for epochs in ([], [{"epoch": 1}], [{"loss": 1}], [{"epoch": "x", "train_loss": "y"}]):
        with pytest.raises(DataError, match="learning curves"):
            History(epochs).plot()


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "textlstm.report.pictures", raising=False)
    monkeypatch.delattr("textlstm.report.pictures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (made("ab").plot_confusion, made("ab").plot_reliability, History(EPOCHS).plot):
        with pytest.raises(MissingDependencyError, match=r"pip install 'textlstm\[report\]'"):
            draw()


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_texts_and_runs_none(tmp_path):
    assert CHROMIUM
    (tmp_path / "page.html").write_text(
        "<meta charset=utf-8>" + CLASSIFIER.predict(HARD)._repr_html_(), encoding="utf-8"
    )
    with Browser(tmp_path / "profile") as browser:
        browser.open((tmp_path / "page.html").as_uri(), width=390)
        assert not browser.complaints()
        assert browser.evaluate("document.scripts.length") == 0
        assert browser.evaluate("document.body.innerText.includes('<script>boom()')")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
