"""The graphs. None imports another; what two of them need stands on a lower floor."""
