"""The viewer's pages, one kind a file, each with its routes and the values of its template."""
