"""A protocol of a task, a model and a run brought together. Uses both halves, and neither knows of it."""
