#!/bin/sh
# codecarbon 3.3.2 (CPython 3.11, Linux, no GPU, no RAPL), offline, told that it runs in a region of Amazon's cloud.
#
# A careful engineer expects of cloud_region="eu-west-3" (Paris) the factor of that region or of France, or a refusal. The table of clouds holds
# Google's regions alone, and the country of a region is not looked up: the emissions are worked out with 475 g/kWh, a mean of the world of
# 2019, 8.5 times what the same package takes for France. The log warns; of the row that is written, country_name and country_iso_code are
# empty and cloud_region says eu-west-3. With the country named beside the region the answer is that of the country.
#
# Seen: "region alone 475.0 None", "with its country 56.0 FRA". Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check codecarbon==3.3.2
cat > "$here/work.py" <<'PROGRAM'
import time

from codecarbon import OfflineEmissionsTracker


def told(**place):
    tracker = OfflineEmissionsTracker(
        cloud_provider="aws", cloud_region="eu-west-3", save_to_file=False, log_level="critical", **place
    )
    tracker.start()
    time.sleep(1.5)
    tracker.stop()
    row = tracker.final_emissions_data
    return f"{1000 * row.emissions / row.energy_consumed:.1f} {row.country_iso_code}"


print("region alone", told())
print("with its country", told(country_iso_code="FRA"))
PROGRAM
cd "$here"
found=$(venv/bin/python work.py 2>/dev/null)
echo "$found"
[ "$found" = "region alone 475.0 None
with its country 56.0 FRA" ]
