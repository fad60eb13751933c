"""A toy world that needs no download: real cities, drawn pictures, simulated teachers and a tiny model."""
