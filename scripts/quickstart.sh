#!/usr/bin/env bash
# From nothing to a working classifier, on the bundled reviews:
#
#     bash scripts/quickstart.sh
#
# Installs into .venv (or the active environment), trains, evaluates, classifies a file and
# exports, all into quickstart/. A second run reuses the model.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
set_up ''

model=quickstart/model
mkdir -p quickstart

step() { printf '\n== %s\n' "$*"; }

if [[ -f $model/config.json && ! -f $model/run.json ]]; then
  step "reusing $model"
else
  step "training on the sample: $model"
  textlstm train sample --out $model --preset fast --epochs 6 --resume
fi

step "evaluating on the sample's test split"
textlstm evaluate $model sample --split test --json quickstart/test-metrics.json

step "classifying a file: quickstart/reviews.csv"
python - <<'PYTHON'
import csv
from pathlib import Path

from textlstm import load_corpus

with Path("quickstart/reviews.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "text"])
    texts = (text for batch in load_corpus("sample").test.texts() for text in batch)
    writer.writerows(enumerate(texts, 1))
PYTHON
textlstm predict $model quickstart/reviews.csv --out quickstart/labelled.csv --overwrite
head -n 6 quickstart/labelled.csv

step "exporting"
textlstm export $model --format vocab --out quickstart/vocab.txt --overwrite
textlstm export $model --format safetensors --out quickstart/weights.safetensors --overwrite

command=textlstm
[[ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]] || command=.venv/bin/textlstm
cat <<END

== done; the files:
quickstart/model/                the model, with a README.md that describes it
quickstart/test-metrics.json     its metrics on the test split, as JSON
quickstart/reviews.csv           the texts that were classified
quickstart/labelled.csv          the same with label and score
quickstart/vocab.txt             the vocabulary, with counts
quickstart/weights.safetensors   the weights, for any tool that reads safetensors

What to type next:
echo "The plot was dull, but the ending made up for it." | $command predict $model -
$command train YOUR.csv --out my-model     # a csv with the columns text and label
$command predict my-model NEW.csv --out labelled.csv
$command --help
END
