"""The publishers: one file a form of publication, and in each one function from values to text or bytes.

A publisher measures nothing, judges nothing and writes no file: it is given a record (or a journal) and returns what is to be
written, the same bytes for the same values. To add a form, put a module here; nothing else needs editing.
"""
