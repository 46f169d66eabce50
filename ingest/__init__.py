"""MQTT messages in, rows in the database out: acknowledged only after COMMIT."""
