"""Files in, labelled files out: engines, streams, Ray, Spark.

- `files`: rows in, the same rows with labels out; started or resumed
- `engines`: torch and ONNX Runtime behind one interface
- `stream`: the stages from reading to writing
- `stages`: stages in threads with bounded queues between them
- `ray`: the same on a Ray cluster
- `spark`: the classifier as a function for Spark

May import: `export`, `classifier` and what these may import; never `training`.
"""
