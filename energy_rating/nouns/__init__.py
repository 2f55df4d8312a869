"""The values that everything else speaks of. Nothing in here reads a file, a device or a clock."""
