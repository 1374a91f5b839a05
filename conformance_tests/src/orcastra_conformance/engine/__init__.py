"""What runs a case and judges it. Knows no case, no pytest and no backend."""
