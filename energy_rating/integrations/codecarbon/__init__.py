"""For users of CodeCarbon: the same names and arguments, our instrument below, its ``emissions.csv`` (``publishing.emissions_csv``).

    from energy_rating.integrations.codecarbon import EmissionsTracker, track_emissions

The arguments are those of codecarbon 3.3.2, in its order, and its configuration files and variables are read. What an argument would
have done there and does not do here is said in a line. Nothing is asked of the network to find out where this is: without a country
emissions are not known (``nan``). What was asked to send them somewhere (``emissions_endpoint``, ``save_to_api``, …) sends them, through
CodeCarbon's own outputs. ``tracker.run`` is the run: its record has the doubt, and what was not measured.
"""

from __future__ import annotations

from energy_rating.integrations.codecarbon.arguments import OutputMethod as OutputMethod
from energy_rating.integrations.codecarbon.decorators import (
    TaskEmissionsTracker as TaskEmissionsTracker,
)
from energy_rating.integrations.codecarbon.decorators import (
    track_emissions as track_emissions,
)
from energy_rating.integrations.codecarbon.decorators import (
    track_task_emissions as track_task_emissions,
)
from energy_rating.integrations.codecarbon.tracker import (
    BaseEmissionsTracker as BaseEmissionsTracker,
)
from energy_rating.integrations.codecarbon.tracker import (
    EmissionsTracker as EmissionsTracker,
)
from energy_rating.integrations.codecarbon.tracker import (
    OfflineEmissionsTracker as OfflineEmissionsTracker,
)
from energy_rating.publishing.emissions_csv import (
    EmissionsData as EmissionsData,
)
from energy_rating.publishing.emissions_csv import (
    TaskEmissionsData as TaskEmissionsData,
)
