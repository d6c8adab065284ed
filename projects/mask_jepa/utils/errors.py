class RunError(ValueError):
    """Ends a run; its sentence says all that its reader needs."""
