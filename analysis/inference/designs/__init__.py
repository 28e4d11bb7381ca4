"""Designs of studies: the interval that planned runs would buy, and the ladder that buys most."""
