"""Published runs: where files stand, how an artifact is written, read and verified, and the views over them.

It knows phases by name and number only, and neither the engine nor Dagster.
"""
