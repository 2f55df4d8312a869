"""The pages of docs/ that are made from the code; one file a page. ``docs/make_reference.py`` writes them."""
