"""Numbers and figures about tables. Phases name them; they know no phase."""
