"""Weather and what it does to a road: the climate, measured weather, forecasts, pavements."""
