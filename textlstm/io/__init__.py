"""Rows in and out of files: formats, bad rows, atomic writing, finding data by name.

- `atomic`: write a file or folder so that either the old or the new one is there
- `formats`: open files by name: suffix, decompression, errors in one line
- `readers`: read the rows of a file as a stream that a bad row doesn't stop
- `arrow`: Arrow columns and parquet to Python values, row by row
- `schema`: the columns that several files share
- `input`: files or a dataset as one stream of rows, from any row on
- `hub`: what all downloads from the Hugging Face Hub share
- `hub_datasets`: datasets of the Hugging Face Hub
- `locate`: find data by name: files, folders, patterns, saved datasets, the Hub, the sample
- `stdin`: stdin as a file that can be read again
- `guess`: the kinds of columns, and which one holds the texts or the labels
- `writers`: rows to the bytes of a format
- `work_folder`: a locked folder beside an output, with the job and how far it is
- `output`: chunks of bytes to the finished file or folder
- `progress`: how far long work is: a bar on a terminal and in a notebook, lines elsewhere

May import: `errors`, `options`, `config`, `version`.
"""
