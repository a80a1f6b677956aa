"""Generation: runs in the inference worker only. Knows no Django; torch and friends are imported inside functions."""
