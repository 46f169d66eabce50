"""HTTP API and map over the database. Reads what jobs wrote; writes records and decisions."""
