"""Right-sized holds: estimates learned from what work really used. Read the modules in this order:

    rules       which quantities of which product are learned, by what: published data, pure
    sketches    quantiles of streams of integers, by a library
    learning    follows the read models of usage and keeps the sketches, in PostgreSQL
    learned     what a server reads of them, kept in memory for some seconds
    accuracy    how sized holds turned out

Nothing here decides: a size is found before a command goes to its writer, and stands in the entry
with where it came from. Sketches are derived and may be lost: they are learned again.
"""
