"""The seam between both halves: what is written by one and read by the other, and how strictly. Judges nothing."""
