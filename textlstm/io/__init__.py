"""Rows in and out of files: formats, bad rows, atomic writing, finding data by name.

- `atomic`: write a file or folder so that either the old or the new one is there
- `formats`: open files by name: suffix, decompression, errors in one line
- `readers`: read the rows of a file as a stream that a bad row doesn't stop
- `arrow`: Arrow columns to Python values, row by row
- `schema`: the columns that several files share
- `input`: files, folders and patterns as one stream of rows, from any row on
- `dataset_input`: the same for datasets, saved or from the Hub
- `hub_datasets`: datasets of the Hugging Face Hub
- `locate`: names of splits, the bundled sample, saved datasets
- `writers`: rows to the bytes of a format
- `work_folder`: an output that grows in a folder beside it and survives a crash
- `output`: chunks of bytes to the finished file or folder

May import: `errors`, `options`, `config`, `version`.
"""
