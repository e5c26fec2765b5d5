"""A trained generator without this library or JAX: ONNX, a folder for the Hugging Face hub, a web page."""
