"""Measures the step router on outcomes of real models on real questions."""
