"""The pure middle: events, features, risk and its evaluation. Arrays in, arrays out."""
