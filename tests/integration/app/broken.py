"""A module that cannot be imported: the application's own mistake."""

raise RuntimeError("no database configured")
