"""Camera vehicles: where they drive, where they believe to be, what they see and feel."""
