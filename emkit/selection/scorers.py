"""Scorers for scikit-learn's own searches and cross-validation. Higher is better for each."""
