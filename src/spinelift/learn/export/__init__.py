"""From trained weights to ONNX files and bundles."""
