"""Names as people and models write them, and whether each is the right place: every user of the verdict agrees on these."""

from globe.geo.verdict import Truth

MUNICH = Truth("Germany", "Munich", 48.13743, 11.57549)
LONDON_AT_THE_BANK = Truth("United Kingdom", "London", 51.51336, -0.08902)
KASHAN = Truth("Iran", "Kashan", 33.98308, 51.43644)
NEW_DELHI = Truth("India", "New Delhi", 28.65195, 77.23149)
SAN_JUAN = Truth("United States", "San Juan", 18.46633, -66.10572)
SAINT_DENIS = Truth("France", "Saint-Denis", -20.88231, 55.4504)
WILLEMSTAD = Truth("Netherlands", "Willemstad", 12.1084, -68.93354)
HONG_KONG = Truth("Hong Kong", "Hong Kong", 22.27832, 114.17469)
HONG_KONG_IN_CHINA = Truth("China", "Hong Kong", 22.27832, 114.17469)
AUSTIN = Truth("United States", "Austin", 30.26715, -97.74306)
NEW_YORK = Truth("United States", "New York City", 40.71427, -74.00597)
PONCE = Truth("Puerto Rico", "Ponce", 18.01031, -66.62398)
PARIS_IN_TENNESSEE = Truth("United States", "Paris", 36.30, -88.33)
SPRINGFIELD_IN_ILLINOIS = Truth("United States", "Springfield", 39.80172, -89.64371)
TIJUANA = Truth("Mexico", "Tijuana", 32.5027, -117.00371)
TOMSK = Truth("Russia", "Tomsk", 56.49771, 84.97437)

RIGHT: list[tuple[Truth, str, str]] = [
    (MUNICH, "Germany", "Munich"), (MUNICH, "Deutschland", "München"), (MUNICH, "germany", "MUENCHEN"),
    (MUNICH, "Bavaria, Germany", "Munich"), (MUNICH, "Germany", "Munich (München)"), (MUNICH, "Allemagne", "Munich, Bavaria"),
    (LONDON_AT_THE_BANK, "UK", "Londres"), (LONDON_AT_THE_BANK, "England", "Greater London"),
    (LONDON_AT_THE_BANK, "UK", "City of London"), (KASHAN, "Iran", "Kachan"), (KASHAN, "Iran", "Cassan"),
    (NEW_DELHI, "India", "Delhi"), (SAN_JUAN, "Puerto Rico", "San Juan"), (SAN_JUAN, "USA", "San Juan, PR"),
    (SAN_JUAN, "United States", "San Juan"),
    (SAINT_DENIS, "Réunion", "St-Denis"), (SAINT_DENIS, "France", "Saint-Denis"), (WILLEMSTAD, "Curaçao", "Willemstad"),
    (HONG_KONG, "Hong Kong", "Hong Kong"), (HONG_KONG, "China", "Hong Kong"), (HONG_KONG, "Hong Kong SAR, China", "香港"),
    (HONG_KONG_IN_CHINA, "Hong Kong", "Hong Kong"), (HONG_KONG_IN_CHINA, "China", "Hong Kong"),
    (AUSTIN, "United States", "Austin"), (AUSTIN, "Texas", "Austin"), (AUSTIN, "Texas, USA", "Austin"),
    (AUSTIN, "USA", "Austin, Texas"), (AUSTIN, "USA", "Austin, TX"),
    (NEW_YORK, "USA", "New York"), (NEW_YORK, "New York", "New York City"), (PONCE, "United States", "Ponce"),
    (PARIS_IN_TENNESSEE, "United States", "Paris, Tennessee"), (PARIS_IN_TENNESSEE, "Tennessee", "Paris"),
    (SPRINGFIELD_IN_ILLINOIS, "USA", "Springfield"), (SPRINGFIELD_IN_ILLINOIS, "Illinois", "Springfield"),
    (TOMSK, "Россия", "Томск"),
]  # fmt: skip
"""The right city under all these names."""

COUNTRY_ALONE: list[tuple[Truth, str, str]] = [
    (MUNICH, "Germany", "Berlin"), (AUSTIN, "Texas", "Houston"), (AUSTIN, "United States", "Boston"),
    (PARIS_IN_TENNESSEE, "United States", "Paris, Texas"), (SPRINGFIELD_IN_ILLINOIS, "USA", "Springfield, Missouri"),
    (TOMSK, "Russia", "Omsk"), (NEW_YORK, "USA", "York"),
]  # fmt: skip
"""The right country and another city, more than 50 km away."""

WRONG: list[tuple[Truth, str, str]] = [
    (MUNICH, "Austria", "Munich"), (MUNICH, "Austria", "Salzburg"), (HONG_KONG, "China", "Shenzhen"),
    (HONG_KONG_IN_CHINA, "Hong Kong SAR", "Nowhereville"), (TIJUANA, "United States", "San Diego"),
    (TIJUANA, "California", "San Ysidro"), (AUSTIN, "Texas", "Nowhereville"), (AUSTIN, "Atlantis", "Austin"),
    (PONCE, "Honduras", "Ponce"), (MUNICH, "", "Munich"),
]  # fmt: skip
"""Another country, however near."""
