"""Models in llama.cpp's file format, GGUF: which families, their numbers, tokenizer and weights."""
