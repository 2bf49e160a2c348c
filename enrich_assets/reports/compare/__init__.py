"""Two runs compared: what differs in what they were given, what became of their articles, and why."""
