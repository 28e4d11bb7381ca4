"""TPUs: their slices, programs compiled before one is rented, and the commands that rent it."""
