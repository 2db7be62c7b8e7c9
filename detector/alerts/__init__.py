"""What goes out: alerts and dead letters."""
