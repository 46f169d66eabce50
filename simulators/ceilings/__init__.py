"""How good a forecast could be at best, from the truth: oracle and informed."""
