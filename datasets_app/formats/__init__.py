"""Files in, canonical rows out. Plain Python: no Django, none of our apps, so that any process can use it.

source    an uploaded file, open for one pass: what kind it is, its lines, how far reading has come
jsonrows, jsonarray, csvrows    the readers: bytes → Row or Problem, each with the line it stands on
mapping   our field ← their column
schemas   which shape the rows have; one raw row → the canonical row (conversation and pairs know the details)
rowsfile  canonical rows as Parquet, written in bounded memory and read at any offset
problems  what is wrong with which line, counted in full and kept in part
"""
