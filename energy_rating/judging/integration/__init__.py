"""Energy between two moments, from readings: a counter's, or a power register's."""
