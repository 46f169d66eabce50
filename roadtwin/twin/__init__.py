"""State of segments as known at a time: wires storage to `models.state`, for jobs and for the service."""
