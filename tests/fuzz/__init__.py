"""Random tables, random queries over every construct, random histories: every view stays equal to its query."""
