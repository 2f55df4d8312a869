"""Water that is consumed: at the site, to cool (WUE), and where the electricity is made. Litres, of the energy of the IT equipment.

Both per kilowatt-hour of what the equipment draws: W = E × WUE + E × PUE × EWIF (Li, Yang, Islam and Ren, *Making AI Less "Thirsty"*,
https://arxiv.org/abs/2304.03271, equation 1). The PUE stands in the second part alone, and once.
"""

from __future__ import annotations

from energy_rating.judging.footprint.given import Given, product
from energy_rating.nouns.quantities import JOULES_PER_KWH, Estimate


def on_site_l(it_energy_j: Estimate, wue: Given) -> Estimate:
    """Litres at the site: energy of the IT equipment times its water usage effectiveness."""
    return product(it_energy_j.times(1 / JOULES_PER_KWH), wue.estimate)


def off_site_l(facility_energy_j: Estimate, litres_per_kwh: float) -> Estimate:
    """Litres where the electricity was made: of all that the site drew. Of the figure no doubt is published."""
    return facility_energy_j.times(litres_per_kwh / JOULES_PER_KWH)
