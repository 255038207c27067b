"""Files in, labelled files out: engines, streams, Ray, Spark.

- `files`: rows in, the same rows with labels out; started or resumed
- `stream`: chunks of rows from reading to writing, in overlapping stages, and how far a run is
- `engines`: torch and ONNX Runtime behind one interface
- `ray`: the same on a Ray cluster
- `spark`: the classifier as a function for Spark

May import: `export`, `classifier` and what these may import; never `training`.
"""
