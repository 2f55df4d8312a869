"""``python -m energy_rating`` is ``energy-rating``."""

from energy_rating.cli import main

main()
