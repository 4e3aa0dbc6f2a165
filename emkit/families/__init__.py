"""Densities with weighted statistics, shared by the estimators."""
