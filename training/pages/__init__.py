"""The training pages, by topic; urls.py is their table of contents."""
