"""A seeded city with a hidden truth that speaks our wire formats and record files, and nothing else."""
