"""Files in, canonical rows out. Plain Python: no Django, none of our apps, so that any process can use it.

source    an uploaded file, open for one pass: what kind it is, how packed and encoded (encoding), its lines, how far reading has come
bundle    several files that are one data set; hubfiles: which files of a Hub repository those are
jsonrows, jsonarray, csvrows, textrows, parquetrows    the readers: bytes → Row or Problem, each with the line it stands on
blocks, plainrows, plainshapes, quotes, arrowtexts    the quick way for JSON Lines: whole blocks of lines told at once, others handed back
mapping   our field ← what fills it (picking: column, path, constant, template); peers: LLaMA-Factory's and Axolotl's ways to say it
schemas   which shape the rows have; one raw row → the canonical row (conversation and pairs know the details)
convert   the one pass: read, recognise (recognise), normalise, count, write (intake); outcome: what was found, columns and threads with it
rowsfile  canonical rows as Parquet, written in bounded memory and read at any offset
problems, rules    what is wrong with which line, counted in full and kept in part; problemindex: which rows have which problem
"""
