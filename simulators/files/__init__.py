"""A simulated period as files, made by several processes."""
