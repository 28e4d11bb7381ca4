"""Rules from the role of a weight to its init, multiplier, learning rate, decay and epsilon."""
