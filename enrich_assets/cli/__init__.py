"""The command `enrich`, one noun a file. It decides nothing: rooms below do, and it says what they did."""
