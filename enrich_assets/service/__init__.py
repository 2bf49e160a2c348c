"""The viewer: published runs as pages in a browser, on this machine alone, and nothing that writes.

`app.py` puts it together; each kind of page is one file of `pages/`. What a run holds comes from `reading` and `store`,
how far it is from `engine`. Dagster is not needed here.
"""
