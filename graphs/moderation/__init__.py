"""Moderation, parallel: classifiers fan out, and a join of at least k of n decides."""
