"""A device's own factors to the reference device: what is run, and what is made of it."""
