"""The doctor: what is wrong with rows that can be read. Plain Python like datasets_app.formats: no Django.

examination   one pass over the usable rows, in bounded memory; the rules are in formats/rules.py
texts, turns, tools, comparisons    what one row can have; together, repeats    what only all rows can
fixes         one automatic fix a rule, on canonical rows
excerpts      the beginning of each row that something is said about
tokens        the rules that need the model's tokenizer; distribution    lengths as numbers to draw
"""
