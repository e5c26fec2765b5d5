"""A trained generator for those who have neither this library nor JAX: ONNX, a folder for the Hugging Face hub, a web page."""
