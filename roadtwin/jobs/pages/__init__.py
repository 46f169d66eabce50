"""Pages of the reports on how good forecasts are. Only these modules draw; they need matplotlib (extra `report`)."""
