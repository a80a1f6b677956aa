"""The JSON surface of training."""
