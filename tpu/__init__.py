"""TPUs: which there are, programs compiled before one is rented, and the commands that rent it."""
