"""Everything that reaches the web: client, address guard, page store, extraction, sources, search."""
