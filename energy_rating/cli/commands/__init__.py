"""The commands: one file each, found by its name. Nothing else has to be edited for a new one."""
