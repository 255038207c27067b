"""A trained classifier in forms that need no textlstm: ONNX, safetensors, torch.export.

- `formats`: one entry for all formats; vocabulary and safetensors
- `torch_export`: weights as a state dict, the network as a `torch.export` program
- `parity`: the exported network compared with the network, on random batches
- `onnx_nodes`, `onnx_ngrams`, `onnx_graph`: the network as an ONNX graph
- `onnx_session`: ONNX Runtime as a function of ids and lengths
- `onnx_card`: the README of an ONNX export
- `onnx_model`: an ONNX folder as a model, without torch
- `onnx_export`: the ONNX folder: checked, measured, written whole

May import: `classifier` and what that may import.
"""
