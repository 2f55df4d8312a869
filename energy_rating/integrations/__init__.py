"""One line in each of the frameworks that people train with; each file is loaded only when it is used.

A framework calls hooks; a run (``meter``) is begun, counted into and ended by them (``framework_run``). Nothing of ours is raised into a
training (``guard``), and nothing of ours lies in its checkpoints.
"""
