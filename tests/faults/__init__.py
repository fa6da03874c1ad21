"""Try to break the promises of delivery: faults of the upstream, deaths, full disks, clocks."""
