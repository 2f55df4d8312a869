"""What energy costs the planet: a file each for carbon and, later, for what else there is."""
