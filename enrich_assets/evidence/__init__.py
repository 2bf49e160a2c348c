"""The one find, read, quote, verify loop that every graph uses to say where it knows something from."""
