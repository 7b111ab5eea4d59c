"""The ways out of the house, chosen by data."""
