"""The half that judges: pure functions from a journal to a record, and on to a rating. Touches no device and needs none."""
