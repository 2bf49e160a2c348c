"""Models: litellm for every provider, the embedded extractive model, prices."""
