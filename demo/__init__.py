"""The main story on real data: a year of purchases in, and every count agrees.

A customer of the platform, not a part of it: nothing here imports martech.
"""
