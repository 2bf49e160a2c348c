"""Figure types, one a file. A phase names the figures of what it publishes; no figure knows a phase.

A figure type is a frozen dataclass with `name` (of its files), `title` (for people) and two methods, both pure:

- `draw(table, outcome, dpi=100)` gives files by name, `<name>.svg` and `<name>.png`; those here inherit it from
  `Drawn` and say only which `Picture` they are;
- `spark(table, outcome)` gives an SVG of at most 700 characters that stands in a line of text, or ''.

`table` is what the phase publishes (None for a document), `outcome` is `stats.outcome.Outcome`: counts, side tables,
settings, the envelopes of the phases before. Equal tables give equal bytes. Nothing is read row by row: what is drawn
of a million rows is counted by Arrow and numpy first (`values`).

Of its own is also a type that registers nowhere: a phase puts any such object into its list of figures.
"""
