"""Servers that stand for the world: they note what they accept, and misbehave on demand."""
