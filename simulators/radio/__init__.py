"""LoRaWAN and its network servers: what becomes of a frame, and the messages that tell of it."""
